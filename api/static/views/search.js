// The view of a search, and of one picture: the query with its tags and details beside the similar pictures.
import { dateRangeOf } from "../lib/urls.js";
import * as api from "../lib/api.js";
import { cropBox } from "../components/crop-box.js";
import { minScoreOf, scoreFilter } from "../components/score-filter.js";
import { dateFilter } from "../components/date-filter.js";
import { announce, button, element, errorNotice, muted, pageTitle, setWindowTitle } from "../lib/dom.js";
import { imageDetails, tagScores } from "../components/image-details.js";
import { pictureGrid } from "../components/grid.js";
import { mostCommonTags, tagFilter } from "../components/tag-filter.js";
import { fileName, size } from "../lib/format.js";

// Problems of the picture itself: trying the preview again would not help, and the results explain them.
const PERMANENT_PROBLEMS = new Set(["not_found", "image_undecodable", "unsupported_format", "image_too_large", "url_blocked"]);

function unavailablePicture() {
  return element("div", { className: "notice" },
    pageTitle("This picture is no longer available"),
    element("p", { textContent: "Your own pictures are available only while this page stays open. Choose the picture again to search." }),
    button("Choose a picture", () => document.querySelector("#picture").click(), { className: "button" }));
}

function boxOf(params) {
  const box = (params.get("box") ?? "").split(",").map(Number);
  return box.length === 4 && box.every(Number.isFinite) ? box : null;
}

const nameOf = (url) => (URL.canParse(url) && fileName(new URL(url).pathname).replace(/^\/$/, "")) || url;

// The query's side of the view: preview, tags and details. The result's showTags(tags) shows the tags that a search found.
function queryPanel({ file, url, id }, box, collection, { urlFor, navigate, clearViewCache }, searchArea) {
  const heading = pageTitle(file?.name ?? (url ? nameOf(url) : "Picture"));
  const preview = element("div", {}, element("div", { className: "canvas waiting" }));
  const tags = element("section", { "aria-label": "Tags" });
  const details = element("section", { "aria-label": "Details" });
  const show = (src) => preview.replaceChildren(cropBox(src, box, searchArea));

  async function showPreview() {
    try {
      show(URL.createObjectURL(await api.preview({ file, url, id }, { collection })));
    } catch (problem) {
      preview.replaceChildren(PERMANENT_PROBLEMS.has(problem.code) ? muted(`No preview: ${problem.message}`) : errorNotice(problem, showPreview));
    }
  }

  function onRemoved() {
    clearViewCache();
    navigate(urlFor({}));
    announce("Removed from the index.");
  }

  async function showDetails() {
    const picture = await api.image(id, { collection });
    heading.textContent = fileName(picture.path);
    if (heading.isConnected) setWindowTitle(heading.textContent);
    details.replaceChildren(imageDetails(picture, collection, onRemoved));
    if (!box) tags.replaceChildren(tagScores(picture.tags, urlFor));
  }

  if (file) details.replaceChildren(muted(`Your picture, ${size(file.size)}. It is not stored.`));
  if (url) details.replaceChildren(element("p", { className: "muted breakable", textContent: url }));
  const node = element("div", { className: "query" }, preview, heading, tags, details);
  return { node, showPreview, showDetails, showTags: (found) => tags.replaceChildren(tagScores(found, urlFor)) };
}

export function search(params, context) {
  const { urlFor, navigate, localFiles, suggestedTags } = context;
  const [id, picture, url, collection] = ["id", "picture", "url", "collection"].map((name) => params.get(name));
  const source = { id, url, file: localFiles.get(picture) };
  if (!id && !url && !source.file) return unavailablePicture();
  const { from, to } = dateRangeOf(params);
  const [box, only] = [boxOf(params), params.getAll("only")];
  const urlHere = (changes) => urlFor({
    id, picture, url, box: box?.join(","), only, from, to, min: new URLSearchParams(location.search).get("min"), ...changes,
  });
  const base = urlFor({ id, picture, url, box: box?.join(",") });
  const panel = queryPanel(source, box, collection, context, (area) => navigate(urlHere({ box: area?.join(",") })));
  const conditions = { collection, taken_from: from, taken_to: to };
  const filter = tagFilter(conditions, only, (tags) => urlHere({ only: tags }), navigate);
  filter.suggest(suggestedTags.get(base) ?? []);

  async function load(offset, limit) {
    const [answer] = await Promise.all([
      api.search(source, { ...conditions, box, tags: only, offset, limit }),
      id && !offset ? panel.showDetails() : null,
    ]);
    if (!offset && !suggestedTags.has(base)) {
      suggestedTags.set(base, mostCommonTags(answer.results));
      filter.suggest(suggestedTags.get(base));
    }
    if (!offset && (!id || box)) panel.showTags(answer.labels);
    return { items: answer.results };
  }

  const filtered = only.length || from || to;
  const grid = pictureGrid({
    load,
    minScore: minScoreOf(params),
    href: (item) => urlFor({ id: item.id }),
    texts: {
      one: "picture, most similar first", many: "pictures, most similar first", loading: "Searching…",
      slow: url ? "Still searching. Downloading the picture can take up to ten seconds."
        : "Still searching. The service may be busy with other searches or an indexing job.",
      empty: [filtered ? "No pictures match all filters. Remove a filter to see more."
        : "This collection has no other pictures."],
      belowMinScore: "No pictures are this similar. Move the slider to the left to see more.",
    },
  });
  panel.showPreview();
  return element("div", { className: "search" }, panel.node, element("div", {},
    element("div", { className: "row heading" }, element("h2", { textContent: "Similar pictures" }), grid.status),
    element("div", { className: "row filters" },
      scoreFilter(minScoreOf(params), grid.setMinScore), dateFilter({ from, to }, urlHere, navigate)),
    filter.node, grid.body));
}
