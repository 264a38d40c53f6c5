// The start of a search: choose, photograph, drop or paste a picture, or enter its web address.
import { button, element, pageTitle } from "../lib/dom.js";

const openInput = (selector) => document.querySelector(selector).click();

// searchByUrl(url) is called with the address that was entered.
export function searchForm(searchByUrl) {
  const address = element("input", {
    type: "url", required: true, pattern: "[hH][tT][tT][pP][sS]?://.+", placeholder: "https://…",
    "aria-label": "Address of a picture", title: "Enter an address that starts with http:// or https://",
  });
  const form = element("form", {
    className: "row", onsubmit: (event) => {
      event.preventDefault();
      searchByUrl(address.value.trim());
    },
  }, address, element("button", { textContent: "Search" }));
  return element("section", { className: "search-form" },
    pageTitle("Find similar pictures"),
    element("p", { className: "fine-pointer", textContent: "Drop or paste a picture here, or" }),
    element("div", { className: "row" },
      button("Choose a picture", () => openInput("#picture"), { className: "button" }),
      button("Take a photo", () => openInput("#camera"), { className: "button second coarse-pointer" })),
    form);
}
