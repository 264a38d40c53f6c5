// The view of a search, and a picture's own page: the query with its labels and facts beside what looks like it.
import { daysOf } from "../lib/urls.js";
import * as api from "../lib/api.js";
import { boxSelector } from "../components/crop-box.js";
import { cutOff, leastOf } from "../components/score-filter.js";
import { dateFilter } from "../components/date-filter.js";
import { announce, button, element, failure, nameWindow, quiet, title } from "../lib/dom.js";
import { facts, labelList } from "../components/image-details.js";
import { pictureGrid } from "../components/grid.js";
import { commonTags, tagFilter } from "../components/tag-filter.js";
import { fileName, size } from "../lib/format.js";

function lostPicture() {
  return element("div", { className: "notice" },
    title("This picture is no longer here"),
    element("p", { textContent: "Your own pictures are kept only while the page is open. Choose it again to search." }),
    button("Choose a picture", () => document.querySelector("#picture").click(), { className: "button" }));
}

function boxOf(params) {
  const box = (params.get("box") ?? "").split(",").map(Number);
  return box.length === 4 && box.every(Number.isFinite) ? box : null;
}

const nameOf = (url) => (URL.canParse(url) && fileName(new URL(url).pathname).replace(/^\/$/, "")) || url;

// The part of the view that is about the query; it shows itself, and is told the labels that a search has found.
function queryPanel({ file, url, id }, box, collection, { to, go, forget }, searchPart) {
  const heading = title(file?.name ?? (url ? nameOf(url) : "Picture"));
  const shown = element("div", {}, element("div", { className: "canvas waiting" }));
  const labels = element("section", { "aria-label": "Labels" });
  const details = element("section", { "aria-label": "Facts" });
  const show = (src) => shown.replaceChildren(boxSelector(src, box, searchPart));

  async function showPreview() {
    try {
      show(URL.createObjectURL(await api.preview({ file, url, id }, { collection })));
    } catch (problem) {
      shown.replaceChildren(problem.code === "not_found" ? quiet(`No preview: ${problem.message}`) : failure(problem, showPreview));
    }
  }

  function removed() {
    forget();
    go(to({}));
    announce("Removed from the index.");
  }

  async function showDocument() {
    const found = await api.image(id, { collection });
    heading.textContent = fileName(found.path);
    if (heading.isConnected) nameWindow(heading.textContent);
    details.replaceChildren(facts(found, collection, removed));
    if (!box) labels.replaceChildren(labelList(found.tags, to));
  }

  if (file) details.replaceChildren(quiet(`Your picture, ${size(file.size)}. It is not kept.`));
  if (url) details.replaceChildren(element("p", { className: "quiet breakable", textContent: url }));
  const node = element("div", { className: "query" }, shown, heading, labels, details);
  return { node, showPreview, showDocument, label: (found) => labels.replaceChildren(labelList(found, to)) };
}

export function search(params, context) {
  const { to, go, pictures, offers } = context;
  const [id, picture, url, collection] = ["id", "picture", "url", "collection"].map((name) => params.get(name));
  const source = { id, url, file: pictures.get(picture) };
  if (!id && !url && !source.file) return lostPicture();
  const { from, to: until } = daysOf(params);
  const [box, only] = [boxOf(params), params.getAll("only")];
  const again = (changes) => to({
    id, picture, url, box, only, from, to: until, min: new URLSearchParams(location.search).get("min"), ...changes,
  });
  const base = to({ id, picture, url, box: box?.join(",") });
  const panel = queryPanel(source, box, collection, context, (part) => go(again({ box: part?.join(",") })));
  const here = (changes) => again({ box: box?.join(","), ...changes });
  const conditions = { collection, taken_from: from, taken_to: until };
  const filter = tagFilter(conditions, only, (tags) => here({ only: tags }), go);
  filter.offer(offers.get(base) ?? []);

  async function load(offset, limit) {
    const [answer] = await Promise.all([
      api.search(source, { ...conditions, box, tags: only, offset, limit }),
      id && !offset ? panel.showDocument() : null,
    ]);
    if (!offset && !offers.has(base)) {
      offers.set(base, commonTags(answer.results));
      filter.offer(offers.get(base));
    }
    if (!offset && (!id || box)) panel.label(answer.labels);
    return { items: answer.results };
  }

  const narrowed = only.length || from || until;
  const grid = pictureGrid({
    load,
    least: leastOf(params),
    href: (item) => to({ id: item.id }),
    texts: {
      one: "picture, nearest first", many: "pictures, nearest first", loading: "Searching…",
      slow: url ? "Still searching. Fetching the picture from its address may take ten seconds."
        : "Still searching. The service may be busy with other searches or an indexing job.",
      empty: [narrowed ? "No picture matches all of these filters. Remove one to see more."
        : "This collection has no other picture."],
      cut: "No picture is that similar. Move the slider to the left to see more.",
    },
  });
  panel.showPreview();
  return element("div", { className: "search" }, panel.node, element("div", {},
    element("div", { className: "row heading" }, element("h2", { textContent: "Look-alikes" }), grid.status),
    element("div", { className: "row filters" },
      cutOff(leastOf(params), grid.cut), dateFilter({ from, to: until }, here, go)),
    filter.node, grid.body));
}
