// Filters a search by tags, each with the number of pictures that have it.
import * as api from "../lib/api.js";
import { chip, element } from "../lib/dom.js";

const MAX_SUGGESTIONS = 12;
const MAX_TAGS = 1000;

export function mostCommonTags(results) {
  const counts = new Map();
  for (const { name } of results.flatMap((result) => result.tags)) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts.keys()].sort((one, other) => counts.get(other) - counts.get(one)).slice(0, MAX_SUGGESTIONS);
}

function tagInput(counts, addTag) {
  const list = element("datalist", { id: "all-tags" }, ...[...counts.keys()].map((name) => new Option(name)));
  const input = element("input", {
    type: "search", list: "all-tags", placeholder: "Add a tag", "aria-label": "Add a tag", "data-focus": "add a tag",
    onchange: () => {
      if (counts.has(input.value.trim())) addTag(input.value.trim());
      else if (input.value) input.setCustomValidity("No pictures have this tag.");
      input.reportValidity();
    },
    oninput: () => input.setCustomValidity(""),
  });
  return element("li", {}, input, list);
}

// `chosen` are the active tags; hrefOf(tags) is the address with other tags. The result's suggest(names) shows more tags.
export function tagFilter(conditions, chosen, hrefOf, navigate) {
  // suggested tags keep their places while they are switched on and off
  const list = element("ul", { className: "chips tag-filter", "aria-label": "Filter by tag" });
  let counts = new Map();
  let names = chosen;

  function draw() {
    const possible = names.filter((name) => chosen.includes(name) || !counts.size || counts.has(name));
    list.replaceChildren(element("li", { className: "muted", textContent: "With tags" }), ...possible.map((name) => {
      const on = chosen.includes(name);
      const tags = on ? chosen.filter((other) => other !== name) : [...chosen, name];
      return chip(name, hrefOf(tags), on, counts.size ? (counts.get(name) ?? 0).toLocaleString() : "");
    }));
    if (counts.size) list.append(tagInput(counts, (name) => navigate(hrefOf([...new Set([...chosen, name])]))));
    list.hidden = !names.length && !counts.size;
  }

  async function loadCounts() {
    try {
      const { tags } = await api.tags({ ...conditions, tag: chosen, limit: MAX_TAGS });
      counts = new Map(tags.map(({ name, count }) => [name, count]));
      draw();
    } catch {
      // the filter works without counts; the results show what is wrong with the service
    }
  }

  function suggest(suggestions) {
    names = [...new Set([...suggestions, ...chosen])];
    draw();
  }

  draw();
  loadCounts();
  return { node: list, suggest };
}
