// A grid of pictures that keeps loading: a page at a time, as its end comes into sight or at the press of a button.
import { announce, button, element, failure, hidden, image } from "../lib/dom.js";
import { count, fileName } from "../lib/format.js";

const PAGE = 48;
const SLOW_MS = 4000;

function card(item, href) {
  const tags = item.tags.slice(0, 3).map((tag) => tag.name).join(", ");
  const score = item.score === undefined ? null
    : element("span", { className: "score", title: "Cosine similarity; 1 is the same" },
      hidden("similarity "), item.score.toFixed(2));
  const name = element("span", { className: "name", textContent: fileName(item.path) });
  return element("li", {}, element("a", { className: "card", href, title: item.path },
    element("span", { className: "frame" }, image(item.thumbnail, "")),
    element("span", { className: "caption" }, name, score),
    element("span", { className: "quiet", textContent: tags || "no tags" })));
}

const skeleton = () =>
  element("li", { className: "skeleton", "aria-hidden": "true" }, element("span", { className: "frame" }));

// load(offset, limit) answers {items, total?}; href(item) is where a picture leads;
// texts are {loading, slow, one, many, empty, cut}, empty a list of texts and elements.
// The answer's cut(score) hides those below it, which come last, and loads no more of them.
export function pictureGrid({ load, href, texts, least = null }) {
  const list = element("ul", { className: "grid" });
  const status = element("p", { className: "quiet" });
  const end = element("div", { className: "end" });
  const cards = new Map(); // id -> {node, score}
  let offset = 0;
  let total;
  let more = true;
  let busy = false;

  const passes = ({ score }) => least === null || score >= least;

  function sum() {
    const all = [...cards.values()];
    const shown = all.filter(passes).length;
    const cut = shown < all.length; // the next are lower still
    status.textContent = shown ? count(total ?? shown, texts.one, texts.many) : "";
    if (!all.length) end.replaceChildren(element("p", { className: "notice" }, ...texts.empty));
    else if (!shown) end.replaceChildren(element("p", { className: "notice", textContent: texts.cut }));
    else if (cut || !more) end.replaceChildren();
    else if (!end.querySelector(":scope > button")) end.replaceChildren(button("Load more", next));
  }

  function take({ items, total: all }) {
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
    const pressed = end.contains(document.activeElement);
    const first = list.childElementCount;
    status.textContent = texts.loading;
    const slow = setTimeout(() => { announce(status.textContent = texts.slow); }, SLOW_MS);
    end.replaceChildren();
    const bones = Array.from({ length: 12 }, skeleton);
    list.append(...bones);
    try {
      const page = await load(offset, PAGE);
      bones.forEach((node) => node.remove());
      take(page);
      sum();
      if (list.isConnected) announce(status.textContent || end.textContent);
      if (pressed) list.children[first]?.firstChild.focus();
    } catch (problem) {
      bones.forEach((node) => node.remove());
      status.textContent = "";
      end.replaceChildren(failure(problem, next));
    } finally {
      clearTimeout(slow);
      busy = false;
      look();
    }
  }

  function look() {
    observer.unobserve(end); // observed anew, the end tells whether it is in sight even when it never left
    observer.observe(end);
  }

  function cut(score) {
    least = score;
    for (const one of cards.values()) one.node.hidden = !passes(one);
    if (busy || !cards.size) return;
    sum();
    look();
  }

  const observer = new IntersectionObserver(([entry]) => {
    if (entry.isIntersecting && end.querySelector(":scope > button")) next();
  }, { rootMargin: "600px" });
  next();
  return { status, body: element("div", {}, list, end), cut };
}
