// Starts the page: gives every view an address, keeps the views of the way back, and takes in pictures from outside.
import * as api from "./api.js";
import { browse } from "./browse.js";
import { failure, nameWindow } from "./dom.js";
import { search } from "./search.js";
import { askForKey } from "./signin.js";

const KEPT_VIEWS = 30;
const main = document.querySelector("#main");
const input = document.querySelector("#picture");
const collectionSelect = document.querySelector("#collection");
const kept = new Map(); // history entry -> its view, so that the way back is instant and keeps its place
const pictures = new Map(); // name in the address -> File; a picture of the user's own is never stored
const offers = new Map(); // search -> the tags offered to narrow it down
let current = null;

const newName = () => Date.now().toString(36) + Math.random().toString(36).slice(2, 6);
const parameters = () => new URLSearchParams(location.search);

// Answers a function that makes addresses within one collection; empty values are left out.
function addressesIn(collection) {
  return (values) => {
    const address = new URLSearchParams();
    for (const [name, value] of Object.entries({ collection, ...values })) {
      for (const one of [value].flat()) if (one) address.append(name, one);
    }
    return `/?${address}`.replace(/\?$/, "");
  };
}

function render() {
  const params = parameters();
  const view = params.has("id") || params.has("picture") ? search : browse;
  return view(params, { to: addressesIn(params.get("collection")), go, choose: () => input.click(), pictures, offers });
}

function leave() {
  Object.assign(current, { scroll: scrollY, focused: document.activeElement });
}

function show() {
  const key = history.state?.key ?? newName();
  history.replaceState({ key }, "");
  const from = document.activeElement?.dataset?.focus;
  const back = kept.get(key);
  current = back ?? { node: render(), scroll: 0 };
  kept.delete(key); // the Map keeps the order of use: the view used longest ago goes first
  kept.set(key, current);
  if (kept.size > KEPT_VIEWS) kept.delete(kept.keys().next().value);
  main.replaceChildren(current.node);
  document.querySelector(".brand").href = addressesIn(parameters().get("collection"))({});
  document.querySelector(".chooser").hidden = Boolean(main.querySelector(".hero"));
  collectionSelect.value = parameters().get("collection") ?? "";
  scrollTo(0, current.scroll);
  const same = from && main.querySelector(`[data-focus="${CSS.escape(from)}"]`);
  (back?.focused ?? same ?? main.querySelector("h1")).focus({ preventScroll: true });
  nameWindow(main.querySelector("h1").textContent);
}

function go(address) {
  leave();
  history.pushState(null, "", address);
  show();
}

function searchWith(file) {
  const name = newName();
  pictures.set(name, file);
  go(addressesIn(parameters().get("collection"))({ picture: name }));
}

function follow(event) {
  const link = event.target.closest("a");
  if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (link.origin !== location.origin || link.pathname !== "/") return;
  event.preventDefault();
  if (link.hash) main.focus();
  else go(link.href);
}

function takeDrops() {
  const veil = document.querySelector("#veil");
  const carriesFile = (event) => event.dataTransfer.types.includes("Files");
  addEventListener("dragover", (event) => {
    event.preventDefault();
    veil.hidden = !carriesFile(event);
  });
  addEventListener("dragleave", (event) => { veil.hidden ||= !event.relatedTarget; });
  addEventListener("drop", (event) => {
    event.preventDefault();
    veil.hidden = true;
    const [file] = event.dataTransfer.files;
    if (file) searchWith(file);
    else main.prepend(failure(new api.Problem("That is not a file", "Save the picture, then drop its file here.")));
  });
}

async function offerCollections() {
  const { collections } = await api.collections();
  if (collections.length < 2) return;
  collectionSelect.append(...collections.map(({ name }) => new Option(name)));
  collectionSelect.value = parameters().get("collection") ?? "";
  collectionSelect.onchange = () => go(addressesIn(collectionSelect.value)({}));
  document.querySelector("#collection-choice").hidden = false;
}

history.scrollRestoration = "manual";
addEventListener("keyneeded", askForKey);
addEventListener("popstate", () => { leave(); show(); });
addEventListener("click", follow);
addEventListener("paste", ({ clipboardData }) => clipboardData.files.length && searchWith(clipboardData.files[0]));
input.addEventListener("change", () => {
  if (input.files.length) searchWith(input.files[0]);
  input.value = "";
});
takeDrops();
show();
offerCollections().catch(() => {}); // without the list there is nothing to choose from; the view says what is wrong
