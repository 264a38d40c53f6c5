// Builds elements; all data goes in as text, never as markup.

export function element(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in node && key !== "list") node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const button = (text, onclick, properties = {}) =>
  element("button", { type: "button", textContent: text, onclick, ...properties });

export const link = (text, href, properties = {}) => element("a", { href, textContent: text, ...properties });

export const quiet = (text) => element("p", { className: "quiet", textContent: text });

export const hidden = (text) => element("span", { className: "visually-hidden", textContent: text });

export const title = (text) => element("h1", { tabIndex: -1, textContent: text });

// A link that switches a tag on or off.
export function chip(name, href, on, note = "") {
  const state = on ? { "aria-current": "true" } : {};
  return element("li", {}, element("a", { className: "chip", href, "data-focus": `tag ${name}`, ...state },
    name, note ? element("span", { className: "quiet", textContent: note }) : null));
}

export function nameWindow(text) {
  document.title = text ? `${text} · lookalike` : "lookalike";
}

export function announce(text) {
  document.querySelector("#live").textContent = text;
}

export function notice(...children) {
  return element("div", { className: "notice" }, ...children);
}

const ADVICE = {
  scope_missing: "Sign in with a key that may write. The operator creates one with “lookalike keys create NAME --scope write”.",
  store_unavailable: "Indexed pictures are kept. Try again in a moment, or tell the operator.",
  busy: "Try again in a moment.",
  rate_limited: "Try again in a moment.",
  image_undecodable: "Choose another picture, or save this one again as JPEG or PNG.",
  unsupported_format: "Choose a picture: JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC.",
  url_blocked: "Only public http and https addresses are fetched. Save the picture and choose its file instead.",
  url_unreachable: "Check the address in a new tab, or save the picture and choose its file instead.",
};

// What went wrong, in the words of the problem document, with a way on.
export function failure(problem, retry) {
  if (!problem.title) reportError(problem); // no answer of the service: a fault of this page
  const name = problem.title ?? "This page failed";
  const node = element("div", { className: "notice failed" },
    element("strong", { textContent: name }),
    element("p", { textContent: problem.message }),
    ADVICE[problem.code] ? element("p", { textContent: ADVICE[problem.code] }) : null,
    problem.code ? quiet(`Code: ${problem.code}`) : null,
    retry ? button("Try again", retry) : null);
  announce(`${name}. ${problem.message}`);
  return node;
}

// A picture that says so when the browser cannot show it (a file that is gone, or in a bucket).
export function image(src, alt) {
  const node = element("img", { src, alt, draggable: false, decoding: "async", loading: "lazy" });
  node.onerror = () => node.replaceWith(element("span", { className: "missing", textContent: "No preview" }));
  return node;
}
