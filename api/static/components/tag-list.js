// The tags of a collection with their counts, to browse by.
import * as api from "../lib/api.js";
import { button, chip, element } from "../lib/dom.js";

const COLLAPSED_TAGS = 20;
const MAX_TAGS = 1000;

function tagCloud(tags, current, hrefOf) {
  const list = element("ul", { className: "chips" });
  const find = element("input", {
    type: "search", placeholder: "Find a tag", "aria-label": "Find a tag", oninput: draw,
  });
  const toggle = button("", () => { open = !open; draw(); });
  let open = false;

  function draw() {
    const text = find.value.trim().toLowerCase();
    const matches = tags.filter((tag) => tag.name.toLowerCase().includes(text));
    const shown = open || text ? matches : matches.filter((tag, index) => index < COLLAPSED_TAGS || tag.name === current);
    list.replaceChildren(...shown.map(({ name, count }) =>
      chip(name, hrefOf(name === current ? null : name), name === current, count.toLocaleString())));
    if (!matches.length) list.append(element("li", { className: "muted", textContent: "No matching tags." }));
    list.classList.toggle("all", open);
    toggle.hidden = Boolean(text);
    toggle.textContent = open ? "Show fewer" : `Show all ${tags.length.toLocaleString()}`;
    toggle.setAttribute("aria-expanded", open);
  }

  draw();
  const heading = element("div", { className: "row heading" }, element("h2", { textContent: "Tags" }));
  if (tags.length > COLLAPSED_TAGS) heading.append(find, toggle);
  return [heading, list];
}

// Fills `section`; conditions are {collection, taken_from, taken_to}, hrefOf(tag) is the address of a tag.
export async function showTags(section, conditions, current, hrefOf) {
  try {
    const { tags } = await api.tags({ ...conditions, limit: MAX_TAGS });
    section.replaceChildren(...(tags.length ? tagCloud(tags, current, hrefOf) : []));
  } catch (problem) {
    if (problem.code === "not_found") return; // the collection does not exist: the list of pictures says so
    section.replaceChildren(element("p", { className: "row muted" }, `The tags can't be loaded. ${problem.message}`,
      button("Try again", () => showTags(section, conditions, current, hrefOf))));
  }
}
