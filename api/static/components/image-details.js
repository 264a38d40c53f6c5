// The details of a picture: its tags with confidences and, for an indexed picture, its data and the path of its file.
import * as api from "../lib/api.js";
import { confirmDialog } from "./confirm.js";
import { announce, button, element, link, muted } from "../lib/dom.js";
import { dateTime, fileName, isWebUrl, percent, size } from "../lib/format.js";

const MAX_TAGS = 8;
const MIN_CONFIDENCE = 0.05;
const UPLOAD = "upload"; // the source of uploaded pictures

export function tagScores(tags, urlFor) {
  const likely = tags.filter(({ confidence }) => confidence >= MIN_CONFIDENCE).slice(0, MAX_TAGS);
  if (!likely.length) return muted("No tag sure enough.");
  return element("ul", { className: "tag-scores" }, ...likely.map(({ name, confidence, categories = [] }) => {
    const bar = element("span", { className: "bar" });
    bar.style.setProperty("--share", percent(confidence));
    return element("li", {},
      link(name, urlFor({ tag: name }), { title: `All pictures with the tag “${name}”` }),
      element("span", { textContent: percent(confidence) }),
      bar,
      categories.length ? element("span", { className: "muted", textContent: categories.join(", ") }) : null);
  }));
}

function copyButton(path, pathNode) {
  const node = button("Copy", async () => {
    try {
      await navigator.clipboard.writeText(path);
      announce(node.textContent = "Copied");
    } catch { // browsers give no clipboard without https: select the path instead
      getSelection().selectAllChildren(pathNode);
      announce(node.textContent = "Selected: press Ctrl+C");
    }
    setTimeout(() => { node.textContent = "Copy"; }, 3000);
  }, { className: "small", "aria-label": "Copy file path" });
  return node;
}

function fileRow({ path, source }) {
  if (source === UPLOAD) return ["File", [`${path} (uploaded)`]];
  if (isWebUrl(path)) return ["File", [link(path, path, { target: "_blank", rel: "noreferrer" })]];
  const pathNode = element("code", { textContent: path });
  return ["File", [pathNode, " ", copyButton(path, pathNode)]];
}

function detailRows(picture) {
  const { path, source, width, height } = picture;
  return [
    fileRow(picture),
    ["Listed in", source !== UPLOAD && !path.startsWith(source) && [source]],
    ["Size", [`${width.toLocaleString()} × ${height.toLocaleString()} pixels, ${size(picture.bytes)}`]],
    ["Taken", picture.taken_at && [dateTime(picture.taken_at)]],
    ["Modified", [dateTime(picture.modified_at)]],
    ["Indexed", [dateTime(picture.indexed_at)]],
    ...Object.entries(picture.meta ?? {}).map(([name, value]) =>
      [name, [typeof value === "string" ? value : JSON.stringify(value)]]),
  ];
}

function removeButton(picture, collection, onRemoved) {
  const explanation = picture.source === UPLOAD
    ? "This picture was uploaded. The copy that the service keeps is deleted too."
    : "The file is not deleted. The picture comes back if its folder is indexed again.";
  return button("Remove from the index…", () => confirmDialog(
    `Remove ${fileName(picture.path)} from the index?`, explanation, "Remove from the index", async () => {
      await api.removeImage(picture.id, { collection });
      onRemoved();
    }), { className: "small" });
}

// onRemoved() is called after the picture was removed from the index.
export function imageDetails(picture, collection, onRemoved) {
  const rows = detailRows(picture).filter(([, value]) => value).flatMap(([name, value]) =>
    [element("dt", { textContent: name }), element("dd", {}, ...value)]);
  return element("details", { open: matchMedia("(min-width: 48rem)").matches },
    element("summary", { textContent: "Details" }),
    element("dl", {}, ...rows), removeButton(picture, collection, onRemoved));
}
