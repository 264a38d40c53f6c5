// Narrows down to the days on which pictures were taken.
import { element, link } from "../lib/dom.js";

const PATIENCE_MS = 500; // a date that is being typed is several valid ones on the way
const OLDEST = "1000"; // a year in the making is 0002, 0020, 0202

function day(name, focus, value, change) {
  let waiting = 0;
  const input = element("input", { type: "date", value: value ?? "", max: "9999-12-31", "data-focus": focus });
  input.oninput = () => {
    clearTimeout(waiting);
    if (input.value && input.value < OLDEST) return;
    waiting = setTimeout(() => { if (input.isConnected && input.value !== (value ?? "")) change(); }, PATIENCE_MS);
  };
  return [element("label", {}, element("span", { textContent: name }), input), input];
}

// go(address) is called with hrefOf({from, to}) for other days; either may be null.
export function dateFilter({ from, to }, hrefOf, go) {
  const change = () => go(hrefOf({ from: first.value || null, to: last.value || null }));
  const [firstLabel, first] = day("Taken from", "from", from, change);
  const [lastLabel, last] = day("to", "to", to, change);
  return element("div", { className: "dates", role: "group", "aria-label": "Dates on which the pictures were taken" },
    firstLabel, lastLabel,
    from || to ? link("Any day", hrefOf({ from: null, to: null }), { "data-focus": "from" }) : null);
}
