// Receives query pictures that are chosen, photographed, dropped or pasted, as files or web addresses.
import { Problem } from "../lib/api.js";
import { errorNotice } from "../lib/dom.js";
import { isWebUrl } from "../lib/format.js";

// Calls onFile(file) or onUrl(url) for each picture.
export function listenForPictures(onFile, onUrl) {
  for (const input of document.querySelectorAll("#picture, #camera")) {
    input.addEventListener("change", () => {
      if (input.files.length) onFile(input.files[0]);
      input.value = "";
    });
  }
  addEventListener("paste", (event) => {
    const [file] = event.clipboardData.files;
    const text = event.clipboardData.getData("text/plain").trim();
    if (file) onFile(file);
    else if (isWebUrl(text) && !event.target.closest?.("input, textarea")) onUrl(text);
  });
  listenForDrops(onFile, onUrl);
}

function listenForDrops(onFile, onUrl) {
  const overlay = document.querySelector("#drop-overlay");
  const mayBePicture = ({ types }) => types.includes("Files") || types.includes("text/uri-list");
  addEventListener("dragover", (event) => {
    event.preventDefault();
    overlay.hidden = !mayBePicture(event.dataTransfer);
  });
  addEventListener("dragleave", (event) => { overlay.hidden ||= !event.relatedTarget; });
  addEventListener("drop", (event) => {
    event.preventDefault();
    overlay.hidden = true;
    const [file] = event.dataTransfer.files;
    const url = event.dataTransfer.getData("text/uri-list").split(/\r?\n/).find(isWebUrl);
    if (file) onFile(file);
    else if (url) onUrl(url);
    else {
      document.querySelector("#main").prepend(
        errorNotice(new Problem("This is not a picture", "Save the picture, then drop its file here.")));
    }
  });
}
