// The place to begin a search: choose, photograph, drop or paste a picture, or say where it is on the web.
import { button, element, title } from "../lib/dom.js";

const pick = (id) => document.querySelector(id).click();

// searchAt(url) is called with an address.
export function hero(searchAt) {
  const address = element("input", {
    type: "url", required: true, pattern: "[hH][tT][tT][pP][sS]?://.+", placeholder: "https://…",
    "aria-label": "Address of a picture", title: "An address starting with http:// or https://",
  });
  const form = element("form", {
    className: "row", onsubmit: (event) => {
      event.preventDefault();
      searchAt(address.value.trim());
    },
  }, address, element("button", { textContent: "Search" }));
  return element("section", { className: "hero" },
    title("Find pictures that look alike"),
    element("p", { className: "fine-pointer", textContent: "Drop a picture here, paste one, or" }),
    element("div", { className: "row" },
      button("Choose a picture", () => pick("#picture"), { className: "button" }),
      button("Take a photo", () => pick("#camera"), { className: "button second coarse-pointer" })),
    form);
}
