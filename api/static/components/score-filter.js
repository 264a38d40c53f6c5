// A slider that cuts off results below a similarity; what it says is in the address, without a new step on the way back.
import { announce, element } from "../lib/dom.js";

export function leastOf(params) {
  const least = Number.parseFloat(params.get("min"));
  return least > 0 && least <= 1 ? least : null;
}

// cut(score) is called as it moves, null: everything is shown.
export function cutOff(least, cut) {
  const said = element("output", { className: "score" });
  const slider = element("input", {
    type: "range", min: 0, max: 1, step: 0.01, value: least ?? 0, "data-focus": "cutoff",
  });

  function say() {
    const value = slider.valueAsNumber;
    said.textContent = value ? value.toFixed(2) : "any";
    slider.setAttribute("aria-valuetext", value ? `at least ${value.toFixed(2)}` : "any");
  }

  slider.oninput = () => {
    say();
    cut(slider.valueAsNumber || null);
  };
  slider.onchange = () => {
    const address = new URL(location);
    if (slider.valueAsNumber) address.searchParams.set("min", slider.value);
    else address.searchParams.delete("min");
    history.replaceState(history.state, "", address);
    announce(slider.getAttribute("aria-valuetext"));
  };
  say();
  return element("label", { className: "cutoff" }, element("span", { textContent: "Similarity at least" }), slider, said);
}
