// One group of duplicates: its pictures with their evidence, the best copy marked, and what can be decided.
import * as api from "../lib/api.js";
import { announce, button, element, failure, image, link, quiet } from "../lib/dom.js";
import { count, date, fileName, percent, size } from "../lib/format.js";

export const KINDS = {
  exact: { name: "Exact", says: "the same bytes" },
  near: { name: "Near", says: "the same picture, saved again, resized, cropped or lightly edited" },
  similar: { name: "Similar", says: "pictures that look alike, and no more is said" },
};
const BECAUSE = {
  resolution: "most pixels", camera_date: "has the camera's date", size: "largest file", date: "oldest", path: "first by name",
};
export const DECIDED = { keep_all: "All are kept", not_duplicates: "Not duplicates" };

function evidence(copy, group) {
  if (group.kind === "exact") return "same bytes";
  if (!copy.evidence) return "the others are compared with this one";
  const { score, phash_distance: bits, pixels, mirrored } = copy.evidence;
  return [
    `similarity ${score.toFixed(2)}`,
    group.kind === "near" ? `hash ${count(bits, "bit", "bits")} apart` : null,
    pixels === null ? null : `pixels agree ${percent(pixels)}`,
    mirrored ? "mirrored" : null,
  ].filter(Boolean).join(", ");
}

function card(copy, group, to) {
  const best = copy.id === group.best;
  const dimensions = `${copy.width.toLocaleString()} × ${copy.height.toLocaleString()}, ${size(copy.bytes)}`;
  return element("li", { className: best ? "best" : "" },
    element("a", { className: "card", href: to({ id: copy.id }), title: copy.path },
      element("span", { className: "frame" }, image(copy.thumbnail, ""),
        best ? element("span", { className: "badge", textContent: `Best copy: ${BECAUSE[group.best_because]}` }) : null),
      element("span", { className: "caption" }, element("span", { className: "name", textContent: fileName(copy.path) })),
      element("span", { className: "quiet path" }, element("bdi", { textContent: copy.path })),
      element("span", { className: "quiet", textContent: dimensions }),
      element("span", { className: "quiet", textContent: copy.taken_at ? `taken ${date(copy.taken_at)}` : "" }),
      element("span", { className: "quiet", textContent: evidence(copy, group) }),
      copy.copies > 1 ? element("span", { className: "quiet", textContent: `stands for ${copy.copies} files` }) : null));
}

// What is shown in the place of a group that was decided about; undone() is called when that is taken back.
function decided(group, decision, collection, undone) {
  const said = element("div");
  const undo = button("Undo", async () => {
    try {
      await api.undo(group.id, { collection });
      announce("Undone.");
      undone();
    } catch (problem) {
      said.replaceChildren(failure(problem));
    }
  });
  const words = element("p", {}, element("strong", { textContent: DECIDED[decision] }),
    `: ${group.images.map(({ path }) => fileName(path)).slice(0, 3).join(", ")}`, group.count > 3 ? "…" : "");
  return element("div", { className: "row decided" }, words, undo, said);
}

export function groupPanel(group, collection, to) {
  const node = element("li", { className: "panel group" });
  const said = element("div");

  async function decide(decision) {
    try {
      await api.decide(group.id, { decision, collection });
      node.replaceChildren(decided(group, decision, collection, draw));
      node.querySelector("button").focus({ preventScroll: true });
      announce(`${DECIDED[decision]}. This is remembered.`);
    } catch (problem) {
      said.replaceChildren(failure(problem));
    }
  }

  function draw() {
    const again = node.contains(document.activeElement);
    const { name, says } = KINDS[group.kind];
    const more = group.count > group.images.length && group.kind === "exact"
      ? quiet(`The first ${group.images.length} are shown.`) : null;
    node.replaceChildren(
      element("div", { className: "row" },
        element("h3", { textContent: `${name}: ${count(group.count, "picture", "pictures")}` }), quiet(says)),
      element("ul", { className: "grid small" }, ...group.images.map((copy) => card(copy, group, to))), more ?? "",
      element("div", { className: "row" },
        group.kept ? quiet("You decided to keep all of these.")
          : button("Keep all", () => decide("keep_all"), { title: "Hide this group" }),
        group.kind === "exact" ? null
          : button("Not duplicates", () => decide("not_duplicates"), { title: "Split this group up for good" })),
      said);
    if (again) node.querySelector("button")?.focus({ preventScroll: true });
  }

  draw();
  return node;
}

export const keptLink = (to) => link("Past decisions", to({ view: "duplicates", kept: "1" }));
