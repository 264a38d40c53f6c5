// Takes in query pictures from outside: chosen, photographed, dropped or pasted, as files or as addresses.
import { Problem } from "../lib/api.js";
import { failure } from "../lib/dom.js";
import { isLink } from "../lib/format.js";

// take(file) and takeAddress(url) are called with what came.
export function takePictures(take, takeAddress) {
  for (const input of document.querySelectorAll("#picture, #camera")) {
    input.addEventListener("change", () => {
      if (input.files.length) take(input.files[0]);
      input.value = "";
    });
  }
  addEventListener("paste", (event) => {
    const [file] = event.clipboardData.files;
    const text = event.clipboardData.getData("text/plain").trim();
    if (file) take(file);
    else if (isLink(text) && !event.target.closest?.("input, textarea")) takeAddress(text);
  });
  takeDrops(take, takeAddress);
}

function takeDrops(take, takeAddress) {
  const veil = document.querySelector("#veil");
  const carriesPicture = ({ types }) => types.includes("Files") || types.includes("text/uri-list");
  addEventListener("dragover", (event) => {
    event.preventDefault();
    veil.hidden = !carriesPicture(event.dataTransfer);
  });
  addEventListener("dragleave", (event) => { veil.hidden ||= !event.relatedTarget; });
  addEventListener("drop", (event) => {
    event.preventDefault();
    veil.hidden = true;
    const [file] = event.dataTransfer.files;
    const address = event.dataTransfer.getData("text/uri-list").split(/\r?\n/).find(isLink);
    if (file) take(file);
    else if (address) takeAddress(address);
    else {
      document.querySelector("#main").prepend(
        failure(new Problem("That is not a picture", "Save the picture, then drop its file here.")));
    }
  });
}
