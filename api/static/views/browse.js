// The view of a whole collection, of one tag or of some days: a place to drop a picture, tags, the pictures.
import { daysOf } from "../lib/urls.js";
import * as api from "../lib/api.js";
import { dateFilter } from "../components/date-filter.js";
import { element, link, title } from "../lib/dom.js";
import { pictureGrid } from "../components/grid.js";
import { hero } from "../components/search-form.js";
import { showTags } from "../components/tag-list.js";
import { days } from "../lib/format.js";

// What to say where the default collection is missing but others are not.
function otherCollections(collections) {
  return collections.length ? [", or look into ", ...collections.flatMap(({ name, count }, place) => [
    place ? ", " : "",
    link(name, `/?${new URLSearchParams({ collection: name })}`),
    ` (${count.toLocaleString()})`])] : [];
}

function nothing(tag, from, to, here) {
  if (from || to) {
    const what = tag ? `No picture with the tag “${tag}”` : "No picture";
    return [`${what} says that it was taken ${days(from, to)}. Pictures without a date are left out. `,
      link("Any day", here({ from: null, to: null }))];
  }
  if (tag) return [`No picture has the tag “${tag}”.`];
  return ["There are no pictures here yet. ", link("Index a library", here({ view: "indexing" })), ", add a folder with ",
    element("code", { textContent: "lookalike index FOLDER" })];
}

export function browse(params, { to, go }) {
  const [tag, collection] = [params.get("tag"), params.get("collection")];
  const { from, to: until } = daysOf(params);
  const conditions = { collection, taken_from: from, taken_to: until };
  const here = (changes) => to({ tag, from, to: until, ...changes });
  const tags = element("section", { "aria-label": "Tags" });
  const empty = nothing(tag, from, until, here);

  async function load(offset, limit) {
    try {
      const { images, total } = await api.images({ ...conditions, tag, offset, limit });
      return { items: images, total };
    } catch (problem) {
      if (problem.code !== "not_found" || tag || collection) throw problem;
      empty.push(...otherCollections((await api.collections()).collections));
      return { items: [], total: 0 };
    }
  }

  const grid = pictureGrid({
    load,
    href: ({ id }) => to({ id }),
    texts: {
      one: "picture", many: "pictures", loading: "Loading pictures…",
      slow: "Still loading pictures. The store may be busy with an indexing job.", empty,
    },
  });
  showTags(tags, conditions, tag, (name) => here({ tag: name }));
  const narrowed = tag || from || until;
  const heading = tag ?? (narrowed ? `Taken ${days(from, until)}` : "All pictures");
  return element("div", {},
    narrowed ? null : hero((url) => go(to({ url }))),
    tags,
    element("div", { className: "row heading" },
      narrowed ? title(heading) : element("h2", { textContent: heading }), grid.status,
      narrowed ? link("Show all pictures", to({})) : null,
      dateFilter({ from, to: until }, here, go)),
    grid.body);
}
