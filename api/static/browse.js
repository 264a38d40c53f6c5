// The view of a whole collection or of one tag: a place to drop a picture, the tags with their counts, the pictures.
import * as api from "./api.js";
import { button, chip, element } from "./dom.js";
import { pictureGrid } from "./grid.js";

const FEW_TAGS = 20;
const MOST_TAGS = 1000;

function dropZone(choose) {
  return element("section", { className: "hero" },
    element("h1", { textContent: "Find pictures that look alike", tabIndex: -1 }),
    element("p", { textContent: "Drop a picture here, paste one, or" }),
    button("Choose a picture", choose, { className: "button" }));
}

function tagCloud(tags, current, to) {
  const list = element("ul", { className: "chips" });
  const find = element("input", {
    type: "search", placeholder: "Find a tag", "aria-label": "Find a tag", oninput: draw,
  });
  const all = button("", () => { open = !open; draw(); });
  let open = false;

  function draw() {
    const text = find.value.trim().toLowerCase();
    const found = tags.filter((tag) => tag.name.toLowerCase().includes(text));
    const drawn = open || text ? found : found.filter((tag, place) => place < FEW_TAGS || tag.name === current);
    list.replaceChildren(...drawn.map(({ name, count }) =>
      chip(name, to({ tag: name === current ? null : name }), name === current, count.toLocaleString())));
    if (!found.length) list.append(element("li", { className: "quiet", textContent: "No tag is called that." }));
    list.classList.toggle("all", open);
    all.hidden = Boolean(text);
    all.textContent = open ? "Show fewer" : `Show all ${tags.length.toLocaleString()}`;
    all.setAttribute("aria-expanded", open);
  }

  draw();
  const heading = element("div", { className: "row heading" }, element("h2", { textContent: "Tags" }));
  if (tags.length > FEW_TAGS) heading.append(find, all);
  return [heading, list];
}

async function showTags(section, params, to) {
  try {
    const { tags } = await api.tags({ collection: params.get("collection"), limit: MOST_TAGS });
    section.replaceChildren(...(tags.length ? tagCloud(tags, params.get("tag"), to) : []));
  } catch (problem) {
    if (problem.code === "not_found") return; // there is no collection: the list of pictures says so
    section.replaceChildren(element("p", { className: "row quiet" },
      `The tags cannot be shown. ${problem.message}`, button("Try again", () => showTags(section, params, to))));
  }
}

// What to say where the default collection is missing but others are not.
function otherCollections(collections) {
  return collections.length ? [", or look into ", ...collections.flatMap(({ name, count }, place) => [
    place ? ", " : "",
    element("a", { href: `/?${new URLSearchParams({ collection: name })}`, textContent: name }),
    ` (${count.toLocaleString()})`])] : [];
}

export function browse(params, { to, choose }) {
  const [tag, collection] = [params.get("tag"), params.get("collection")];
  const tags = element("section", { "aria-label": "Tags" });

  async function load(offset, limit) {
    try {
      const { images, total } = await api.images({ collection, tag, offset, limit });
      return { items: images, total };
    } catch (problem) {
      if (problem.code !== "not_found" || tag || collection) throw problem;
      texts.empty.push(...otherCollections((await api.collections()).collections));
      return { items: [], total: 0 };
    }
  }

  const texts = {
    one: "picture", many: "pictures", loading: "Loading pictures…", slow: "Still loading pictures…",
    empty: tag ? [`No picture has the tag “${tag}”.`]
      : ["There are no pictures here yet. Add a folder with ", element("code", { textContent: "lookalike index FOLDER" })],
  };

  const grid = pictureGrid({ load, href: ({ id }) => to({ id }), texts });
  showTags(tags, params, to);
  return element("div", {},
    tag ? null : dropZone(choose),
    tags,
    element("div", { className: "row heading" },
      element(tag ? "h1" : "h2", { textContent: tag ?? "All pictures", tabIndex: -1 }), grid.status,
      tag ? element("a", { href: to({}), textContent: "Show all pictures" }) : null),
    grid.body);
}
