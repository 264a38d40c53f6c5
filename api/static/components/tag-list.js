// The tags of a collection with their counts, to choose one by.
import * as api from "../lib/api.js";
import { button, chip, element } from "../lib/dom.js";

const FEW_TAGS = 20;
const MOST_TAGS = 1000;

function tagCloud(tags, current, hrefOf) {
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
      chip(name, hrefOf(name === current ? null : name), name === current, count.toLocaleString())));
    if (!found.length) list.append(element("li", { className: "quiet", textContent: "No tag has that name." }));
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

// Fills `section`; conditions are {collection, taken_from, taken_to}, hrefOf(tag) is where a tag leads.
export async function showTags(section, conditions, current, hrefOf) {
  try {
    const { tags } = await api.tags({ ...conditions, limit: MOST_TAGS });
    section.replaceChildren(...(tags.length ? tagCloud(tags, current, hrefOf) : []));
  } catch (problem) {
    if (problem.code === "not_found") return; // there is no collection: the list of pictures says so
    section.replaceChildren(element("p", { className: "row quiet" }, `The tags cannot be shown. ${problem.message}`,
      button("Try again", () => showTags(section, conditions, current, hrefOf))));
  }
}
