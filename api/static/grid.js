// A grid of pictures that keeps loading: a page at a time, as its end comes into sight or at the press of a button.
import { announce, button, count, element, failure, fileName, image } from "./dom.js";

const PAGE = 48;
const SLOW_MS = 4000;

function card(item, href) {
  const tags = item.tags.slice(0, 3).map((tag) => tag.name).join(", ");
  const score = item.score === undefined ? null
    : element("span", { className: "score", title: "Cosine similarity; 1 is the same" },
      element("span", { className: "visually-hidden", textContent: "similarity " }), item.score.toFixed(2));
  const name = element("span", { className: "name", textContent: fileName(item.path) });
  return element("li", {}, element("a", { className: "card", href, title: item.path },
    element("span", { className: "frame" }, image(item.thumbnail, "")),
    element("span", { className: "caption" }, name, score),
    element("span", { className: "quiet", textContent: tags || "no tags" })));
}

const skeleton = () =>
  element("li", { className: "skeleton", "aria-hidden": "true" }, element("span", { className: "frame" }));

// load(offset, limit) answers {items, total?}; href(item) is where a picture leads;
// texts are {loading, slow, one, many, empty}, empty a list of texts and elements.
export function pictureGrid({ load, href, texts }) {
  const list = element("ul", { className: "grid" });
  const status = element("p", { className: "quiet" });
  const end = element("div", { className: "end" });
  const seen = new Set();
  let offset = 0;
  let busy = false;

  function show({ items, total }) {
    list.querySelectorAll(".skeleton").forEach((node) => node.remove());
    const fresh = items.filter((item) => !seen.has(item.id));
    fresh.forEach((item) => seen.add(item.id));
    list.append(...fresh.map((item) => card(item, href(item))));
    offset += items.length;
    status.textContent = seen.size ? count(total ?? seen.size, texts.one, texts.many) : "";
    const done = items.length < PAGE || offset >= total;
    if (!seen.size) end.replaceChildren(element("p", { className: "notice" }, ...texts.empty));
    else if (!done) end.replaceChildren(button("Load more", next));
    if (list.isConnected) announce(status.textContent || end.textContent);
  }

  async function next() {
    if (busy) return;
    busy = true;
    const pressed = end.contains(document.activeElement);
    const first = list.childElementCount;
    status.textContent = texts.loading;
    const slow = setTimeout(() => { status.textContent = texts.slow; }, SLOW_MS);
    end.replaceChildren();
    list.append(...Array.from({ length: 12 }, skeleton));
    try {
      show(await load(offset, PAGE));
      if (pressed) list.children[first]?.firstChild.focus();
    } catch (problem) {
      list.querySelectorAll(".skeleton").forEach((node) => node.remove());
      status.textContent = "";
      end.replaceChildren(failure(problem, next));
    } finally {
      clearTimeout(slow);
      busy = false;
      observer.unobserve(end); // observed anew, the end tells whether it is in sight even when it never left
      observer.observe(end);
    }
  }

  const observer = new IntersectionObserver(([entry]) => {
    if (entry.isIntersecting && end.querySelector(":scope > button")) next();
  }, { rootMargin: "600px" });
  next();
  return { status, body: element("div", {}, list, end) };
}
