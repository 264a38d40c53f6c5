// Builds elements and puts values into words; all data goes in as text, never as markup.

export function element(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const button = (text, onclick, properties = {}) =>
  element("button", { type: "button", textContent: text, onclick, ...properties });

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

// What went wrong, in the words of the problem document, with a way on.
export function failure(problem, retry) {
  if (!problem.title) reportError(problem); // no answer of the service: a fault of this page
  const notice = element("div", { className: "notice failed" },
    element("strong", { textContent: problem.title ?? "This page failed" }),
    element("p", { textContent: problem.message }),
    problem.code ? element("p", { className: "quiet", textContent: `Code: ${problem.code}` }) : null,
    retry ? button("Try again", retry) : null);
  announce(`${problem.title}. ${problem.message}`);
  return notice;
}

// A picture that says so when the browser cannot show it (HEIC, a file that is gone).
export function image(src, alt) {
  const node = element("img", { src, alt, draggable: false, decoding: "async" });
  node.onerror = () => node.replaceWith(element("span", { className: "missing", textContent: "No preview" }));
  return node;
}

export const fileName = (path) => path.split(/[\\/]/).pop();
export const percent = (fraction) => `${Math.round(fraction * 100)}%`;
export const count = (number, one, many) => `${number.toLocaleString()} ${number === 1 ? one : many}`;

export function size(bytes) {
  const step = bytes < 1e6 ? [1e3, "kB"] : [1e6, "MB"];
  return `${(bytes / step[0]).toFixed(1)} ${step[1]}`;
}

export function date(text) {
  return new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}
