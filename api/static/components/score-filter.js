// A slider that hides results below a similarity; its value is kept in the address without a new history entry.
import { announce, element } from "../lib/dom.js";

export function minScoreOf(params) {
  const score = Number.parseFloat(params.get("min"));
  return score > 0 && score <= 1 ? score : null;
}

// setMinScore(score) is called while the slider moves; null shows everything.
export function scoreFilter(minScore, setMinScore) {
  const output = element("output", { className: "score" });
  const slider = element("input", {
    type: "range", min: 0, max: 1, step: 0.01, value: minScore ?? 0, "data-focus": "score filter",
  });

  function showValue() {
    const value = slider.valueAsNumber;
    output.textContent = value ? value.toFixed(2) : "any";
    slider.setAttribute("aria-valuetext", value ? `at least ${value.toFixed(2)}` : "any");
  }

  slider.oninput = () => {
    showValue();
    setMinScore(slider.valueAsNumber || null);
  };
  slider.onchange = () => {
    const address = new URL(location);
    if (slider.valueAsNumber) address.searchParams.set("min", slider.value);
    else address.searchParams.delete("min");
    history.replaceState(history.state, "", address);
    announce(slider.getAttribute("aria-valuetext"));
  };
  showValue();
  return element("label", { className: "score-filter" }, element("span", { textContent: "Minimum similarity" }), slider, output);
}
