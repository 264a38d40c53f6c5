// The view of a whole collection, of one tag or of a range of dates: the search form, the tags, the pictures.
import { dateRangeOf } from "../lib/urls.js";
import * as api from "../lib/api.js";
import { dateFilter } from "../components/date-filter.js";
import { element, link, pageTitle } from "../lib/dom.js";
import { pictureGrid } from "../components/grid.js";
import { searchForm } from "../components/search-form.js";
import { showTags } from "../components/tag-list.js";
import { dateRange } from "../lib/format.js";

// Links to the other collections, for when the default collection does not exist.
function otherCollections(collections) {
  return collections.length ? [" Other collections: ", ...collections.flatMap(({ name, count }, index) => [
    index ? ", " : "",
    link(name, `/?${new URLSearchParams({ collection: name })}`),
    ` (${count.toLocaleString()})`]), "."] : [];
}

function emptyText(tag, from, to, urlHere) {
  if (from || to) {
    const range = dateRange(from, to);
    const text = tag ? `No pictures with the tag “${tag}” taken ${range}.` : `No pictures taken ${range}.`;
    return [`${text} Pictures without a date are not shown. `, link("Any date", urlHere({ from: null, to: null }))];
  }
  if (tag) return [`No pictures with the tag “${tag}”.`];
  return ["Nothing indexed yet. Run: ", element("code", { textContent: "lookalike index FOLDER" }),
    " or ", link("start an indexing job", urlHere({ view: "indexing" })), "."];
}

export function browse(params, { urlFor, navigate }) {
  const [tag, collection] = [params.get("tag"), params.get("collection")];
  const { from, to } = dateRangeOf(params);
  const conditions = { collection, taken_from: from, taken_to: to };
  const urlHere = (changes) => urlFor({ tag, from, to, ...changes });
  const tags = element("section", { "aria-label": "Tags" });
  const empty = emptyText(tag, from, to, urlHere);

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
    href: ({ id }) => urlFor({ id }),
    texts: {
      one: "picture", many: "pictures", loading: "Loading pictures…",
      slow: "Still loading pictures. The service may be busy with an indexing job.", empty,
    },
  });
  showTags(tags, conditions, tag, (name) => urlHere({ tag: name }));
  const filtered = tag || from || to;
  const heading = tag ?? (filtered ? `Taken ${dateRange(from, to)}` : "All pictures");
  return element("div", {},
    filtered ? null : searchForm((url) => navigate(urlFor({ url }))),
    tags,
    element("div", { className: "row heading" },
      filtered ? pageTitle(heading) : element("h2", { textContent: heading }), grid.status,
      filtered ? link("Show all pictures", urlFor({})) : null,
      dateFilter({ from, to }, urlHere, navigate)),
    grid.body);
}
