// Filters pictures by the date on which they were taken.
import { element, link } from "../lib/dom.js";

const DEBOUNCE_MS = 500; // a date that is being typed passes through several valid dates
const EARLIEST = "1000"; // a year that is being typed is 0002, 0020, 0202

function dateInput(name, focusName, value, onChange) {
  let timer = 0;
  const input = element("input", { type: "date", value: value ?? "", max: "9999-12-31", "data-focus": focusName });
  input.oninput = () => {
    clearTimeout(timer);
    if (input.value && input.value < EARLIEST) return;
    timer = setTimeout(() => { if (input.isConnected && input.value !== (value ?? "")) onChange(); }, DEBOUNCE_MS);
  };
  return [element("label", {}, element("span", { textContent: name }), input), input];
}

// Navigates to hrefOf({from, to}) when a date changes; either may be null.
export function dateFilter({ from, to }, hrefOf, navigate) {
  const onChange = () => navigate(hrefOf({ from: first.value || null, to: last.value || null }));
  const [firstLabel, first] = dateInput("Taken from", "from", from, onChange);
  const [lastLabel, last] = dateInput("to", "to", to, onChange);
  return element("div", { className: "date-filter", role: "group", "aria-label": "Date taken" },
    firstLabel, lastLabel,
    from || to ? link("Any date", hrefOf({ from: null, to: null }), { "data-focus": "from" }) : null);
}
