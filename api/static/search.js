// The view of a search: the query picture with its labels and facts beside the pictures that look like it.
import * as api from "./api.js";
import { boxSelector } from "./box.js";
import { button, chip, date, element, fileName, nameWindow, percent, size } from "./dom.js";
import { pictureGrid } from "./grid.js";

const SUGGESTIONS = 12;
const MOST_LABELS = 8;
const LIKELY = 0.05;

function labelList(labels, to) {
  const likely = labels.filter(({ confidence }) => confidence >= LIKELY).slice(0, MOST_LABELS);
  if (!likely.length) return element("p", { className: "quiet", textContent: "The model sees nothing it knows." });
  return element("ul", { className: "labels" }, ...likely.map(({ name, confidence, categories = [] }) => {
    const bar = element("span", { className: "bar" });
    bar.style.setProperty("--share", percent(confidence));
    return element("li", {},
      element("a", { href: to({ tag: name }), textContent: name }),
      element("span", { textContent: percent(confidence) }),
      bar,
      categories.length ? element("span", { className: "quiet", textContent: categories.join(", ") }) : null);
  }));
}

function facts(picture) {
  const given = Object.entries(picture.meta ?? {});
  const rows = [
    ["File", picture.path],
    ["From", !picture.path.startsWith(picture.source) && picture.source],
    ["Size", `${picture.width} × ${picture.height} pixels, ${size(picture.bytes)}`],
    ["Taken", picture.taken_at && date(picture.taken_at)],
    ["Changed", date(picture.modified_at)],
    ["Indexed", date(picture.indexed_at)],
    ...given.map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]),
  ];
  const list = rows.filter(([, value]) => value).flatMap(([name, value]) =>
    [element("dt", { textContent: name }), element("dd", { textContent: value })]);
  return element("details", { open: matchMedia("(min-width: 48rem)").matches },
    element("summary", { textContent: "About this picture" }), element("dl", {}, ...list));
}

function commonTags(results) {
  const counts = new Map();
  for (const { name } of results.flatMap((result) => result.tags)) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts.keys()].sort((one, other) => counts.get(other) - counts.get(one)).slice(0, SUGGESTIONS);
}

function lostPicture(choose) {
  return element("div", { className: "notice" },
    element("h1", { tabIndex: -1, textContent: "This picture is no longer here" }),
    element("p", { textContent: "Your own pictures are kept only while the page is open. Choose it again to search." }),
    button("Choose a picture", choose, { className: "button" }));
}

export function search(params, { to, go, choose, pictures, offers }) {
  const [id, picture, collection] = ["id", "picture", "collection"].map((name) => params.get(name));
  const file = pictures.get(picture);
  if (!id && !file) return lostPicture(choose);
  const box = params.get("box")?.split(",").map(Number) ?? null;
  const only = params.getAll("only");
  const again = (changes) => to({ id, picture, box: params.get("box"), only, ...changes });
  const query = again({ only: null });
  const heading = element("h1", { tabIndex: -1, textContent: file?.name ?? "Picture" });
  const shown = element("div", {});
  const labels = element("section", { "aria-label": "Labels" });
  const details = element("section", { "aria-label": "Facts" });
  // the tags offered stay in their places while they are switched on and off
  const filter = element("ul", { className: "chips", "aria-label": "Only pictures with the tag" });

  const showPicture = (src) => shown.replaceChildren(
    boxSelector(src, box, (part) => go(again({ box: part?.join(",") }))));

  async function showDocument() {
    const found = await api.image(id, { collection });
    heading.textContent = fileName(found.path);
    if (heading.isConnected) nameWindow(heading.textContent);
    showPicture(found.thumbnail);
    details.replaceChildren(facts(found));
    if (!box) labels.replaceChildren(labelList(found.tags, to));
  }

  function showFilter() {
    const names = [...new Set([...(offers.get(query) ?? []), ...only])];
    filter.replaceChildren(element("li", { className: "quiet", textContent: "Only with" }), ...names.map((name) => {
      const on = only.includes(name);
      return chip(name, again({ only: on ? only.filter((other) => other !== name) : [...only, name] }), on);
    }));
    filter.hidden = !names.length;
  }

  async function load(offset, limit) {
    const [answer] = await Promise.all([
      api.search({ file, id }, { collection, box, tags: only, offset, limit }),
      file || offset ? null : showDocument(),
    ]);
    if (!offers.has(query)) {
      offers.set(query, commonTags(answer.results));
      showFilter();
    }
    if (!offset && (file || box)) labels.replaceChildren(labelList(answer.labels, to));
    return { items: answer.results };
  }

  if (file) {
    showPicture(URL.createObjectURL(file));
    details.replaceChildren(element("p", { className: "quiet", textContent: `Your picture, ${size(file.size)}` }));
  }
  showFilter();
  const grid = pictureGrid({
    load,
    href: (item) => to({ id: item.id }),
    texts: {
      one: "picture, nearest first", many: "pictures, nearest first", loading: "Searching…",
      slow: "Still searching. The first search after a start takes longer: the model is being loaded.",
      empty: [only.length ? "No picture has all of these tags. Take one away to see more."
        : "This collection has no other picture."],
    },
  });
  return element("div", { className: "search" },
    element("div", { className: "query" }, shown, heading, labels, details),
    element("div", {},
      element("div", { className: "row heading" }, element("h2", { textContent: "Look-alikes" }), grid.status),
      filter, grid.body));
}
