// Selects an area of a picture by pointer or keyboard, as a box [x, y, width, height] in fractions of the picture.
import { announce, button, element, image, muted } from "../lib/dom.js";
import { percent } from "../lib/format.js";

const MIN_SIDE = 0.04;
const STEP = 0.02;
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const round = (box) => box.map((value) => Math.round(value * 1000) / 1000);

function boxBetween([x1, y1], [x2, y2]) {
  return [Math.min(x1, x2), Math.min(y1, y2), Math.abs(x1 - x2), Math.abs(y1 - y2)];
}

function moved([x, y, width, height], right, down) {
  return [clamp(x + right * STEP, 0, 1 - width), clamp(y + down * STEP, 0, 1 - height), width, height];
}

function resized([x, y, width, height], right, down) {
  return [x, y, clamp(width + right * STEP, MIN_SIDE, 1 - x), clamp(height + down * STEP, MIN_SIDE, 1 - y)];
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// search(box) is called with the selected area, search(null) for the whole picture.
export function cropBox(src, initial, search) {
  const frame = element("div", { className: "crop-frame", hidden: true });
  const canvas = element("div", {
    className: "canvas", tabIndex: 0, role: "application", "data-focus": "box",
    "aria-label": "Query picture. Arrow keys move the box, Shift with arrow keys resizes it, Enter searches, Escape cancels.",
  }, image(src, ""), frame);
  const select = button("Select an area", startEditing);
  const apply = button("Search this area", () => search(round(box)), { className: "button" });
  const whole = button("Search the whole picture", () => search(null));
  const hint = muted("Draw a box, or move it with the arrow keys.");
  let box = initial;
  let start = null;

  function draw(next, editing) {
    box = next;
    frame.hidden = !box;
    canvas.classList.toggle("editing", editing);
    select.hidden = editing || Boolean(box);
    apply.hidden = hint.hidden = !editing || !box;
    whole.hidden = !initial;
    if (!box) return;
    [frame.style.left, frame.style.top, frame.style.width, frame.style.height] = box.map((value) => `${value * 100}%`);
  }

  function startEditing() {
    draw(box ?? [0.25, 0.25, 0.5, 0.5], true);
    canvas.focus();
  }

  function point(event) {
    const area = canvas.getBoundingClientRect();
    const [right, down] = [(event.clientX - area.left) / area.width, (event.clientY - area.top) / area.height];
    return [clamp(right, 0, 1), clamp(down, 0, 1)];
  }

  canvas.onpointerdown = (event) => {
    // touch scrolls the page unless an area is being selected
    if (event.button !== 0 || (event.pointerType === "touch" && !canvas.classList.contains("editing"))) return;
    start = point(event);
    canvas.setPointerCapture(event.pointerId);
  };
  canvas.onpointermove = (event) => {
    if (start) draw(boxBetween(start, point(event)), true);
  };
  canvas.onpointercancel = () => { start = null; };
  canvas.onpointerup = (event) => {
    if (!start) return;
    const drawn = boxBetween(start, point(event));
    start = null;
    if (drawn[2] >= MIN_SIDE && drawn[3] >= MIN_SIDE) search(round(drawn));
    else draw(initial, false);
  };
  canvas.onkeydown = (event) => {
    const arrow = ARROWS[event.key];
    if (arrow) {
      event.preventDefault();
      draw(box ? (event.shiftKey ? resized : moved)(box, ...arrow) : [0.25, 0.25, 0.5, 0.5], true);
      const [right, down, width, height] = box.map(percent);
      announce(`Area: ${right} from the left, ${down} from the top, ${width} wide, ${height} high`);
    } else if (event.key === "Enter" && box) {
      search(round(box));
    } else if (event.key === "Escape") {
      draw(initial, false);
    }
  };
  draw(initial, false);
  const buttons = element("div", { className: "row" }, select, apply, whole);
  return element("div", { className: "crop-box" }, canvas, hint, buttons);
}
