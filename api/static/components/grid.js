// A grid of pictures that loads a page at a time, when its end is scrolled into view or by a button.
import { announce, button, element, errorNotice, image, visuallyHidden } from "../lib/dom.js";
import { count, fileName } from "../lib/format.js";

const PAGE = 48;
const SLOW_MS = 4000;

function card(item, href) {
  const tags = item.tags.slice(0, 3).map((tag) => tag.name).join(", ");
  const score = item.score === undefined ? null
    : element("span", { className: "score", title: "Cosine similarity; 1 means identical" },
      visuallyHidden("similarity "), item.score.toFixed(2));
  const name = element("span", { className: "name", textContent: fileName(item.path) });
  return element("li", {}, element("a", { className: "card", href, title: item.path },
    element("span", { className: "frame" }, image(item.thumbnail, "")),
    element("span", { className: "caption" }, name, score),
    element("span", { className: "muted", textContent: tags || "no tags" })));
}

const placeholder = () =>
  element("li", { className: "placeholder", "aria-hidden": "true" }, element("span", { className: "frame" }));

// load(offset, limit) returns {items, total?}; href(item) is the address of a picture;
// texts are {loading, slow, one, many, empty, belowMinScore}; `empty` is a list of texts and elements.
// The result's setMinScore(score) hides the pictures below it, which come last, and stops loading more.
export function pictureGrid({ load, href, texts, minScore = null }) {
  const list = element("ul", { className: "grid" });
  const status = element("p", { className: "muted" });
  const end = element("div", { className: "end" });
  const cards = new Map(); // id -> {node, score}
  let offset = 0;
  let total;
  let more = true;
  let busy = false;

  const passes = ({ score }) => minScore === null || score >= minScore;

  function updateStatus() {
    const all = [...cards.values()];
    const shown = all.filter(passes).length;
    const reachedMinScore = shown < all.length; // results are sorted: all following are lower
    status.textContent = shown ? count(total ?? shown, texts.one, texts.many) : "";
    if (!all.length) end.replaceChildren(element("p", { className: "notice" }, ...texts.empty));
    else if (!shown) end.replaceChildren(element("p", { className: "notice", textContent: texts.belowMinScore }));
    else if (reachedMinScore || !more) end.replaceChildren();
    else if (!end.querySelector(":scope > button")) end.replaceChildren(button("Load more", next));
  }

  function addPage({ items, total: all }) {
    for (const item of items.filter(({ id }) => !cards.has(id))) {
      const node = card(item, href(item));
      node.hidden = !passes(item);
      cards.set(item.id, { node, score: item.score });
      list.append(node);
    }
    offset += items.length;
    total = all;
    more = items.length === PAGE && !(offset >= total);
  }

  async function next() {
    if (busy) return;
    busy = true;
    const hadFocus = end.contains(document.activeElement);
    const first = list.childElementCount;
    status.textContent = texts.loading;
    const slow = setTimeout(() => { announce(status.textContent = texts.slow); }, SLOW_MS);
    end.replaceChildren();
    const placeholders = Array.from({ length: 12 }, placeholder);
    list.append(...placeholders);
    try {
      const page = await load(offset, PAGE);
      placeholders.forEach((node) => node.remove());
      addPage(page);
      updateStatus();
      if (list.isConnected) announce(status.textContent || end.textContent);
      if (hadFocus) list.children[first]?.firstChild.focus();
    } catch (problem) {
      placeholders.forEach((node) => node.remove());
      status.textContent = "";
      end.replaceChildren(errorNotice(problem, next));
    } finally {
      clearTimeout(slow);
      busy = false;
      observeEnd();
    }
  }

  function observeEnd() {
    observer.unobserve(end); // observing again reports the end even if it stayed in view
    observer.observe(end);
  }

  function setMinScore(score) {
    minScore = score;
    for (const entry of cards.values()) entry.node.hidden = !passes(entry);
    if (busy || !cards.size) return;
    updateStatus();
    observeEnd();
  }

  const observer = new IntersectionObserver(([entry]) => {
    if (entry.isIntersecting && end.querySelector(":scope > button")) next();
  }, { rootMargin: "600px" });
  next();
  return { status, body: element("div", {}, list, end), setMinScore };
}
