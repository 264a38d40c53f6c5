// Lets a person mark a part of a picture, by pointer or by keys, as a box [x, y, width, height] in fractions.
import { announce, button, element, image } from "../lib/dom.js";
import { percent } from "../lib/format.js";

const SMALLEST = 0.04;
const STEP = 0.02;
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const round = (box) => box.map((value) => Math.round(value * 1000) / 1000);

function between([x1, y1], [x2, y2]) {
  return [Math.min(x1, x2), Math.min(y1, y2), Math.abs(x1 - x2), Math.abs(y1 - y2)];
}

function moved([x, y, width, height], right, down) {
  return [clamp(x + right * STEP, 0, 1 - width), clamp(y + down * STEP, 0, 1 - height), width, height];
}

function resized([x, y, width, height], right, down) {
  return [x, y, clamp(width + right * STEP, SMALLEST, 1 - x), clamp(height + down * STEP, SMALLEST, 1 - y)];
}

const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// search(box) is called with the marked part, search(null) for the whole picture again.
export function boxSelector(src, initial, search) {
  const frame = element("div", { className: "selected", hidden: true });
  const canvas = element("div", {
    className: "canvas", tabIndex: 0, role: "application", "data-focus": "box",
    "aria-label": "Query picture. Arrow keys select a part of it, Shift and arrow keys resize the part, "
      + "Enter searches for it, Escape leaves it.",
  }, image(src, ""), frame);
  const mark = button("Search for a part", begin);
  const apply = button("Search for this part", () => search(round(box)), { className: "button" });
  const whole = button("Search for the whole picture", () => search(null));
  const hint = element("p", { className: "quiet", textContent: "Draw a box, or move it with the arrow keys." });
  let box = initial;
  let start = null;

  function draw(next, editing) {
    box = next;
    frame.hidden = !box;
    canvas.classList.toggle("editing", editing);
    mark.hidden = editing || Boolean(box);
    apply.hidden = hint.hidden = !editing || !box;
    whole.hidden = !initial;
    if (!box) return;
    [frame.style.left, frame.style.top, frame.style.width, frame.style.height] = box.map((value) => `${value * 100}%`);
  }

  function begin() {
    draw(box ?? [0.25, 0.25, 0.5, 0.5], true);
    canvas.focus();
  }

  function point(event) {
    const area = canvas.getBoundingClientRect();
    const [right, down] = [(event.clientX - area.left) / area.width, (event.clientY - area.top) / area.height];
    return [clamp(right, 0, 1), clamp(down, 0, 1)];
  }

  canvas.onpointerdown = (event) => {
    // a finger scrolls the page until a part is being marked
    if (event.button !== 0 || (event.pointerType === "touch" && !canvas.classList.contains("editing"))) return;
    start = point(event);
    canvas.setPointerCapture(event.pointerId);
  };
  canvas.onpointermove = (event) => {
    if (start) draw(between(start, point(event)), true);
  };
  canvas.onpointercancel = () => { start = null; };
  canvas.onpointerup = (event) => {
    if (!start) return;
    const drawn = between(start, point(event));
    start = null;
    if (drawn[2] >= SMALLEST && drawn[3] >= SMALLEST) search(round(drawn));
    else draw(initial, false);
  };
  canvas.onkeydown = (event) => {
    const arrow = arrows[event.key];
    if (arrow) {
      event.preventDefault();
      draw(box ? (event.shiftKey ? resized : moved)(box, ...arrow) : [0.25, 0.25, 0.5, 0.5], true);
      const [right, down, width, height] = box.map(percent);
      announce(`Part from ${right} right and ${down} down, ${width} wide, ${height} high`);
    } else if (event.key === "Enter" && box) {
      search(round(box));
    } else if (event.key === "Escape") {
      draw(initial, false);
    }
  };
  draw(initial, false);
  const buttons = element("div", { className: "row" }, mark, apply, whole);
  return element("div", { className: "picture" }, canvas, hint, buttons);
}
