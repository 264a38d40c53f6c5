// Starts the page: maps each address to a view and caches views for the back button.
import { pageUrls, parameters } from "./lib/urls.js";
import * as api from "./lib/api.js";
import { browse } from "./views/browse.js";
import { setWindowTitle } from "./lib/dom.js";
import { duplicates } from "./views/duplicates.js";
import { jobs } from "./views/jobs.js";
import { listenForPictures } from "./components/picture-input.js";
import { job } from "./views/job.js";
import { decisions } from "./views/decisions.js";
import { search } from "./views/search.js";
import { showSignIn } from "./components/sign-in.js";

const MAX_CACHED_VIEWS = 30;
const main = document.querySelector("#main");
const collectionSelect = document.querySelector("#collection");
const viewCache = new Map(); // history entry -> its view, so that going back is instant and keeps its place
const localFiles = new Map(); // name in the address -> File; the user's own pictures are never stored
const suggestedTags = new Map(); // address of a search -> tags suggested as filters
let current = null;

const newName = () => Date.now().toString(36) + Math.random().toString(36).slice(2, 6);
const isSearch = (params) => ["id", "picture", "url"].some((name) => params.has(name));
const currentUrls = () => pageUrls(parameters().get("collection"));

function viewOf(params) {
  switch (params.get("view")) {
    case "duplicates": return params.has("kept") ? decisions : duplicates;
    case "indexing": return params.has("job") ? job : jobs;
    default: return isSearch(params) ? search : browse;
  }
}

// Returns the node of the view; it receives the events "shown" and "left".
function render() {
  const context = {
    urlFor: currentUrls(), navigate, localFiles, suggestedTags, clearViewCache: () => viewCache.clear(),
  };
  return viewOf(parameters())(parameters(), context);
}

function leaveView() {
  Object.assign(current, { scroll: scrollY, focused: document.activeElement });
  current.node.dispatchEvent(new Event("left"));
}

function updateHeader() {
  const params = parameters();
  const urlFor = currentUrls();
  document.querySelector(".brand").href = urlFor({});
  for (const link of document.querySelectorAll("nav a")) {
    const { view } = link.dataset;
    link.href = urlFor({ view });
    if (view === (params.get("view") ?? "")) link.setAttribute("aria-current", isSearch(params) ? "true" : "page");
    else link.removeAttribute("aria-current");
  }
  document.querySelector(".chooser").hidden = Boolean(main.querySelector(".search-form"));
  collectionSelect.value = params.get("collection") ?? collectionSelect.dataset.default ?? "";
}

function showView() {
  const key = history.state?.key ?? newName();
  history.replaceState({ key }, "");
  const focusName = document.activeElement?.dataset?.focus;
  const cached = viewCache.get(key);
  current = cached ?? { node: render(), scroll: 0 };
  viewCache.delete(key); // the Map is ordered by use: the least recently used view is evicted first
  viewCache.set(key, current);
  if (viewCache.size > MAX_CACHED_VIEWS) viewCache.delete(viewCache.keys().next().value);
  main.replaceChildren(current.node);
  updateHeader();
  scrollTo(0, current.scroll);
  const sameControl = focusName && main.querySelector(`[data-focus="${CSS.escape(focusName)}"]`);
  (cached?.focused ?? sameControl ?? main.querySelector("h1")).focus({ preventScroll: true });
  setWindowTitle(main.querySelector("h1").textContent);
  current.node.dispatchEvent(new Event("shown"));
}

function navigate(address) {
  leaveView();
  history.pushState(null, "", address);
  showView();
}

function searchByFile(file) {
  const name = newName();
  localFiles.set(name, file);
  navigate(currentUrls()({ picture: name }));
}

const searchByUrl = (url) => navigate(currentUrls()({ url }));

function followLink(event) {
  const link = event.target.closest("a");
  if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (link.origin !== location.origin || link.pathname !== "/" || link.target) return;
  event.preventDefault();
  if (link.hash) main.focus();
  else navigate(link.href);
}

async function loadCollections() {
  const { collections, default: defaultName } = await api.collections();
  if (collections.length < 2) return;
  collectionSelect.append(...collections.map(({ name, count }) => new Option(`${name} (${count.toLocaleString()})`, name)));
  collectionSelect.dataset.default = defaultName;
  collectionSelect.value = parameters().get("collection") ?? defaultName;
  collectionSelect.onchange = () => {
    const view = parameters().get("view");
    navigate(pageUrls(collectionSelect.value)({ view: view === "indexing" ? null : view }));
  };
  document.querySelector("#collection-choice").hidden = false;
}

history.scrollRestoration = "manual";
addEventListener("keyrequired", showSignIn);
addEventListener("popstate", () => { leaveView(); showView(); });
addEventListener("click", followLink);
listenForPictures(searchByFile, searchByUrl);
showView();
loadCollections().catch(() => {}); // without the list there is nothing to choose; the view shows the error
