// Starts the page: gives every view an address, and keeps the views of the way back.
import { addressesIn, parameters } from "./lib/urls.js";
import * as api from "./lib/api.js";
import { browse } from "./views/browse.js";
import { nameWindow } from "./lib/dom.js";
import { duplicates } from "./views/duplicates.js";
import { indexing } from "./views/jobs.js";
import { takePictures } from "./components/picture-input.js";
import { job } from "./views/job.js";
import { kept as keptGroups } from "./views/decisions.js";
import { search } from "./views/search.js";
import { askForKey } from "./components/sign-in.js";

const KEPT_VIEWS = 30;
const main = document.querySelector("#main");
const collectionSelect = document.querySelector("#collection");
const kept = new Map(); // history entry -> its view, so that the way back is instant and keeps its place
const pictures = new Map(); // name in the address -> File; a picture of the user's own is never stored
const offers = new Map(); // search -> the tags offered to narrow it down
let current = null;

const newName = () => Date.now().toString(36) + Math.random().toString(36).slice(2, 6);
const isSearch = (params) => ["id", "picture", "url"].some((name) => params.has(name));

function viewOf(params) {
  switch (params.get("view")) {
    case "duplicates": return params.has("kept") ? keptGroups : duplicates;
    case "indexing": return params.has("job") ? job : indexing;
    default: return isSearch(params) ? search : browse;
  }
}

// What a view is made with; a view may listen to "shown" and "left" on its node.
function render() {
  const params = parameters();
  const context = { to: addressesIn(params.get("collection")), go, pictures, offers, forget: () => kept.clear() };
  return viewOf(params)(params, context);
}

function leave() {
  Object.assign(current, { scroll: scrollY, focused: document.activeElement });
  current.node.dispatchEvent(new Event("left"));
}

function dressHeader() {
  const params = parameters();
  const to = addressesIn(params.get("collection"));
  document.querySelector(".brand").href = to({});
  for (const link of document.querySelectorAll("nav a")) {
    const { view } = link.dataset;
    link.href = to({ view });
    if (view === (params.get("view") ?? "")) link.setAttribute("aria-current", isSearch(params) ? "true" : "page");
    else link.removeAttribute("aria-current");
  }
  document.querySelector(".chooser").hidden = Boolean(main.querySelector(".hero"));
  collectionSelect.value = params.get("collection") ?? collectionSelect.dataset.usual ?? "";
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
  dressHeader();
  scrollTo(0, current.scroll);
  const same = from && main.querySelector(`[data-focus="${CSS.escape(from)}"]`);
  (back?.focused ?? same ?? main.querySelector("h1")).focus({ preventScroll: true });
  nameWindow(main.querySelector("h1").textContent);
  current.node.dispatchEvent(new Event("shown"));
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

const searchAt = (url) => go(addressesIn(parameters().get("collection"))({ url }));

function follow(event) {
  const link = event.target.closest("a");
  if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (link.origin !== location.origin || link.pathname !== "/" || link.target) return;
  event.preventDefault();
  if (link.hash) main.focus();
  else go(link.href);
}

async function offerCollections() {
  const { collections, default: usual } = await api.collections();
  if (collections.length < 2) return;
  collectionSelect.append(...collections.map(({ name, count }) => new Option(`${name} (${count.toLocaleString()})`, name)));
  collectionSelect.dataset.usual = usual;
  collectionSelect.value = parameters().get("collection") ?? usual;
  collectionSelect.onchange = () => {
    const view = parameters().get("view");
    go(addressesIn(collectionSelect.value)({ view: view === "indexing" ? null : view }));
  };
  document.querySelector("#collection-choice").hidden = false;
}

history.scrollRestoration = "manual";
addEventListener("keyneeded", askForKey);
addEventListener("popstate", () => { leave(); show(); });
addEventListener("click", follow);
takePictures(searchWith, searchAt);
show();
offerCollections().catch(() => {}); // without the list there is nothing to choose from; the view says what is wrong
