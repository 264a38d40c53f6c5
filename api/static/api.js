// Speaks the HTTP API: one function a route, each answering its JSON or throwing a Problem.

export class Problem extends Error {
  constructor(title, detail, code = "") {
    super(detail.replace(/^./, (first) => first.toUpperCase()));
    this.title = title;
    this.code = code;
  }
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(`/v1${path}`, options);
  } catch {
    throw new Problem("No answer", "The service cannot be reached. Check that it is running, then try again.");
  }
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  if (response.status === 401) dispatchEvent(new Event("keyneeded"));
  throw new Problem(
    body.title ?? "That did not work",
    body.detail ?? `The service answered ${response.status} without saying why.`,
    body.code);
}

function withQuery(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

const json = (body) =>
  ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

function form(file, options) {
  const body = new FormData();
  body.append("file", file);
  for (const [key, value] of Object.entries(options)) {
    if (value === null) continue;
    if (key === "tags") value.forEach((tag) => body.append("tags", tag));
    else body.append(key, Array.isArray(value) ? JSON.stringify(value) : value);
  }
  return { method: "POST", body };
}

async function checkReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Problem("This file cannot be read", "Choose one picture. A folder is added with: lookalike index FOLDER");
  }
}

// query: {file} or {id}; options: {collection, tags, box, offset, limit}
export async function search({ file, id }, options) {
  if (file) await checkReadable(file);
  return request("/search", file ? form(file, options) : json({ id, ...options }));
}

export const image = (id, options) => request(withQuery(`/images/${encodeURIComponent(id)}`, options));
export const images = (options) => request(withQuery("/images", options));
export const tags = (options) => request(withQuery("/tags", options));
export const signIn = (key) => request("/session", json({ key }));
export const collections = () => request("/collections");
