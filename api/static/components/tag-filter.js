// Narrows a search down by tags, each with the number of pictures that are left with it.
import * as api from "../lib/api.js";
import { chip, element } from "../lib/dom.js";

const SUGGESTIONS = 12;
const MOST_TAGS = 1000;

export function commonTags(results) {
  const counts = new Map();
  for (const { name } of results.flatMap((result) => result.tags)) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts.keys()].sort((one, other) => counts.get(other) - counts.get(one)).slice(0, SUGGESTIONS);
}

function anotherTag(counts, add) {
  const list = element("datalist", { id: "all-tags" }, ...[...counts.keys()].map((name) => new Option(name)));
  const input = element("input", {
    type: "search", list: "all-tags", placeholder: "Another tag", "aria-label": "Another tag", "data-focus": "another tag",
    onchange: () => {
      if (counts.has(input.value.trim())) add(input.value.trim());
      else if (input.value) input.setCustomValidity("No picture here has this tag.");
      input.reportValidity();
    },
    oninput: () => input.setCustomValidity(""),
  });
  return element("li", {}, input, list);
}

// chosen are the tags that are on; hrefOf(tags) is where others lead. The answer's offer(names) shows suggestions.
export function tagFilter(conditions, chosen, hrefOf, go) {
  // the tags offered stay in their places while they are switched on and off
  const list = element("ul", { className: "chips narrow", "aria-label": "Only pictures with the tag" });
  let counts = new Map();
  let names = chosen;

  function draw() {
    const possible = names.filter((name) => chosen.includes(name) || !counts.size || counts.has(name));
    list.replaceChildren(element("li", { className: "quiet", textContent: "Only with" }), ...possible.map((name) => {
      const on = chosen.includes(name);
      const tags = on ? chosen.filter((other) => other !== name) : [...chosen, name];
      return chip(name, hrefOf(tags), on, counts.size ? (counts.get(name) ?? 0).toLocaleString() : "");
    }));
    if (counts.size) list.append(anotherTag(counts, (name) => go(hrefOf([...new Set([...chosen, name])]))));
    list.hidden = !names.length && !counts.size;
  }

  async function fill() {
    try {
      const { tags } = await api.tags({ ...conditions, tag: chosen, limit: MOST_TAGS });
      counts = new Map(tags.map(({ name, count }) => [name, count]));
      draw();
    } catch {
      // the tags work without their counts; what is wrong with the service, the results say
    }
  }

  function offer(suggested) {
    names = [...new Set([...suggested, ...chosen])];
    draw();
  }

  draw();
  fill();
  return { node: list, offer };
}
