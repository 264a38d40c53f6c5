// One group of duplicates: its pictures with evidence, the best copy marked, and the possible decisions.
import * as api from "../lib/api.js";
import { announce, button, element, errorNotice, image, link, muted } from "../lib/dom.js";
import { count, dateTime, fileName, percent, size } from "../lib/format.js";

export const KINDS = {
  exact: { name: "Exact", description: "identical files" },
  near: { name: "Near", description: "the same picture, saved again, resized, cropped or lightly edited" },
  similar: { name: "Similar", description: "pictures that look alike, but may differ" },
};
const BEST_REASONS = {
  resolution: "most pixels", camera_date: "has the camera date", size: "largest file", date: "oldest", path: "first by name",
};
export const DECISIONS = { keep_all: "All kept", not_duplicates: "Not duplicates" };

function evidenceText(copy, group) {
  if (group.kind === "exact") return "identical bytes";
  if (!copy.evidence) return "the others are compared with this one";
  const { score, phash_distance: bits, pixels, mirrored } = copy.evidence;
  return [
    `similarity ${score.toFixed(2)}`,
    group.kind === "near" ? `hash differs by ${count(bits, "bit", "bits")}` : null,
    pixels === null ? null : `pixels match ${percent(pixels)}`,
    mirrored ? "mirrored" : null,
  ].filter(Boolean).join(", ");
}

function card(copy, group, urlFor) {
  const best = copy.id === group.best;
  const dimensions = `${copy.width.toLocaleString()} × ${copy.height.toLocaleString()}, ${size(copy.bytes)}`;
  return element("li", { className: best ? "best" : "" },
    element("a", { className: "card", href: urlFor({ id: copy.id }), title: copy.path },
      element("span", { className: "frame" }, image(copy.thumbnail, ""),
        best ? element("span", { className: "badge", textContent: `Best copy: ${BEST_REASONS[group.best_because]}` }) : null),
      element("span", { className: "caption" }, element("span", { className: "name", textContent: fileName(copy.path) })),
      element("span", { className: "muted path" }, element("bdi", { textContent: copy.path })),
      element("span", { className: "muted", textContent: dimensions }),
      element("span", { className: "muted", textContent: copy.taken_at ? `taken ${dateTime(copy.taken_at)}` : "" }),
      element("span", { className: "muted", textContent: evidenceText(copy, group) }),
      copy.copies > 1 ? element("span", { className: "muted", textContent: `represents ${copy.copies} files` }) : null));
}

// The row that replaces a group after a decision; onUndone() is called after the decision was undone.
function decisionRow(group, decision, collection, onUndone) {
  const message = element("div");
  const undo = button("Undo", async () => {
    try {
      await api.undoDecision(group.id, { collection });
      announce("The decision was undone.");
      onUndone();
    } catch (problem) {
      message.replaceChildren(errorNotice(problem));
    }
  });
  const text = element("p", {}, element("strong", { textContent: DECISIONS[decision] }),
    `: ${group.images.map(({ path }) => fileName(path)).slice(0, 3).join(", ")}`, group.count > 3 ? "…" : "");
  return element("div", { className: "row decided" }, text, undo, message);
}

export function duplicateGroup(group, collection, urlFor) {
  const node = element("li", { className: "panel group" });
  const message = element("div");

  async function decide(decision) {
    try {
      await api.decide(group.id, { decision, collection });
      node.replaceChildren(decisionRow(group, decision, collection, draw));
      node.querySelector("button").focus({ preventScroll: true });
      announce(`${DECISIONS[decision]}. The decision was saved.`);
    } catch (problem) {
      message.replaceChildren(errorNotice(problem));
    }
  }

  function draw() {
    const hadFocus = node.contains(document.activeElement);
    const { name, description } = KINDS[group.kind];
    const more = group.count > group.images.length && group.kind === "exact"
      ? muted(`Only the first ${group.images.length} are shown.`) : null;
    node.replaceChildren(
      element("div", { className: "row" },
        element("h3", { textContent: `${name}: ${count(group.count, "picture", "pictures")}` }), muted(description)),
      element("ul", { className: "grid small" }, ...group.images.map((copy) => card(copy, group, urlFor))), more ?? "",
      element("div", { className: "row" },
        group.kept ? muted("You decided to keep all of these.")
          : button("Keep all", () => decide("keep_all"), { title: "Keep these pictures and hide the group" }),
        group.kind === "exact" ? null
          : button("Not duplicates", () => decide("not_duplicates"), { title: "Never group these pictures again" })),
      message);
    if (hadFocus) node.querySelector("button")?.focus({ preventScroll: true });
  }

  draw();
  return node;
}

export const decisionsLink = (urlFor) => link("Past decisions", urlFor({ view: "duplicates", kept: "1" }));
