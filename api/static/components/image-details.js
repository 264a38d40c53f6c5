// What is said of a query: its labels with confidences; of an indexed picture also its data and where its file is.
import * as api from "../lib/api.js";
import { ask } from "./confirm.js";
import { announce, button, element, link, quiet } from "../lib/dom.js";
import { date, fileName, isLink, percent, size } from "../lib/format.js";

const MOST_LABELS = 8;
const LIKELY = 0.05;
const UPLOAD = "upload"; // the source of pictures that were sent to the service

export function labelList(labels, to) {
  const likely = labels.filter(({ confidence }) => confidence >= LIKELY).slice(0, MOST_LABELS);
  if (!likely.length) return quiet("No tag sure enough.");
  return element("ul", { className: "labels" }, ...likely.map(({ name, confidence, categories = [] }) => {
    const bar = element("span", { className: "bar" });
    bar.style.setProperty("--share", percent(confidence));
    return element("li", {},
      link(name, to({ tag: name }), { title: `All pictures with the tag ${name}` }),
      element("span", { textContent: percent(confidence) }),
      bar,
      categories.length ? element("span", { className: "quiet", textContent: categories.join(", ") }) : null);
  }));
}

function copyButton(text, shown) {
  const node = button("Copy", async () => {
    try {
      await navigator.clipboard.writeText(text);
      announce(node.textContent = "Copied");
    } catch { // without https a browser gives no clipboard: marked, it is one key away
      getSelection().selectAllChildren(shown);
      announce(node.textContent = "Selected: press Ctrl+C");
    }
    setTimeout(() => { node.textContent = "Copy"; }, 3000);
  }, { className: "small", "aria-label": "Copy the file's path" });
  return node;
}

function place({ path, source }) {
  if (source === UPLOAD) return ["File", [`${path}, sent to this service`]];
  if (isLink(path)) return ["File", [link(path, path, { target: "_blank", rel: "noreferrer" })]];
  const shown = element("code", { textContent: path });
  return ["File", [shown, " ", copyButton(path, shown)]];
}

function rowsOf(picture) {
  const { path, source, width, height } = picture;
  return [
    place(picture),
    ["Listed in", source !== UPLOAD && !path.startsWith(source) && [source]],
    ["Size", [`${width.toLocaleString()} × ${height.toLocaleString()} pixels, ${size(picture.bytes)}`]],
    ["Taken", picture.taken_at && [date(picture.taken_at)]],
    ["Changed", [date(picture.modified_at)]],
    ["Indexed", [date(picture.indexed_at)]],
    ...Object.entries(picture.meta ?? {}).map(([name, value]) =>
      [name, [typeof value === "string" ? value : JSON.stringify(value)]]),
  ];
}

// removed() is called when the picture is out of the index.
function removal(picture, collection, removed) {
  const explanation = picture.source === UPLOAD
    ? "It was uploaded: the service's own copy is deleted too."
    : "Its file stays where it is. Indexing its folder again brings the picture back.";
  return button("Remove from the index…", () => ask(
    `Remove ${fileName(picture.path)} from the index?`, explanation, "Remove from the index", async () => {
      await api.removeImage(picture.id, { collection });
      removed();
    }), { className: "small" });
}

export function facts(picture, collection, removed) {
  const list = rowsOf(picture).filter(([, value]) => value).flatMap(([name, value]) =>
    [element("dt", { textContent: name }), element("dd", {}, ...value)]);
  return element("details", { open: matchMedia("(min-width: 48rem)").matches },
    element("summary", { textContent: "About this picture" }),
    element("dl", {}, ...list), removal(picture, collection, removed));
}
