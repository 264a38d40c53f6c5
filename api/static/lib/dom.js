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

export const muted = (text) => element("p", { className: "muted", textContent: text });

export const visuallyHidden = (text) => element("span", { className: "visually-hidden", textContent: text });

export const pageTitle = (text) => element("h1", { tabIndex: -1, textContent: text });

// A link that switches a tag on or off.
export function chip(name, href, on, note = "") {
  const state = on ? { "aria-current": "true" } : {};
  return element("li", {}, element("a", { className: "chip", href, "data-focus": `tag ${name}`, ...state },
    name, note ? element("span", { className: "muted", textContent: note }) : null));
}

export function setWindowTitle(text) {
  document.title = text ? `${text} · lookalike` : "lookalike";
}

export function announce(text) {
  document.querySelector("#live").textContent = text;
}

export function notice(...children) {
  return element("div", { className: "notice" }, ...children);
}

// The page's own titles and advice for error codes; the service's title is shown for all other codes.
const PROBLEMS = {
  image_undecodable: {
    title: "This file can't be opened as a picture",
    advice: "Choose another picture, or save this one again as JPEG or PNG.",
  },
  unsupported_format: {
    title: "This file isn't in a supported picture format",
    advice: "Choose a picture: JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC.",
  },
  image_too_large: { title: "This picture is too large", advice: "Choose a smaller picture." },
  file_unreadable: { title: "The file of this picture can't be read" },
  url_blocked: {
    title: "This address can't be used",
    advice: "Only public http and https addresses are fetched. Save the picture and choose its file instead.",
  },
  url_unreachable: {
    title: "This address can't be reached",
    advice: "Open the address in a new tab to check it, or save the picture and choose its file instead.",
  },
  scope_missing: {
    advice: "Sign in with a key that has the write scope. The operator creates one with: lookalike keys create NAME --scope write",
  },
  key_unknown: { title: "This API key isn't valid" },
  store_unavailable: {
    title: "The index can't be reached", advice: "The indexed pictures are safe. Try again in a moment, or tell the operator.",
  },
  busy: { title: "The service is busy", advice: "Try again in a moment." },
  rate_limited: { title: "Too many requests", advice: "Try again in a moment." },
};

// Shows an error with its explanation, advice, code and, with retry(), a button to try again.
export function errorNotice(problem, retry) {
  if (!problem.title) reportError(problem); // not an answer of the service: a fault of this page
  const { title, advice } = PROBLEMS[problem.code] ?? {};
  const name = title ?? problem.title ?? "Something went wrong on this page";
  const node = element("div", { className: "notice failed" },
    element("strong", { textContent: name }),
    element("p", { textContent: problem.message }),
    advice ? element("p", { textContent: advice }) : null,
    problem.code ? muted(`Code: ${problem.code}`) : null,
    retry ? button("Try again", retry) : null);
  announce(`${name}. ${problem.message}`);
  return node;
}

// A picture that is replaced by a text if the browser can't show it (the file is missing, or in a bucket).
export function image(src, alt) {
  const node = element("img", { src, alt, draggable: false, decoding: "async", loading: "lazy" });
  node.onerror = () => node.replaceWith(element("span", { className: "missing", textContent: "No preview" }));
  return node;
}
