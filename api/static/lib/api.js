// Calls the HTTP API: one function per route, which returns the JSON or throws a Problem.

export class Problem extends Error {
  constructor(title, detail, code = "") {
    super(detail.replace(/^./, (first) => first.toUpperCase()));
    this.title = title;
    this.code = code;
  }
}

async function fetchOk(path, options) {
  let response;
  try {
    response = await fetch(`/v1${path}`, options);
  } catch {
    throw new Problem("The service can't be reached", "Check that it is running, then try again.");
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  if (response.status === 401) dispatchEvent(new Event("keyrequired"));
  throw new Problem(
    body.title ?? "The request failed",
    body.detail ?? `The service returned status ${response.status} without an explanation.`,
    body.code);
}

async function request(path, options) {
  const response = await fetchOk(path, options);
  return response.status === 204 ? null : response.json();
}

// Returns an address with the parameters that have a value; a list becomes one parameter per item.
export function withQuery(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const item of [value].flat()) if (item !== null && item !== undefined && item !== "") query.append(name, item);
  }
  return query.size ? `${path}?${query}` : path;
}

const json = (body) =>
  ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
const post = { method: "POST" };
const remove = { method: "DELETE" };
const keepalive = (options) => ({ ...options, keepalive: true }); // completes even if the page is closed
const itemPath = (path, id, rest = "") => `${path}/${encodeURIComponent(id)}${rest}`;
const withoutEmpty = (values) => Object.fromEntries(Object.entries(values).filter(([, value]) => value ?? false));

function form(file, options) {
  const body = new FormData();
  body.append("file", file);
  for (const [key, value] of Object.entries(withoutEmpty(options))) {
    if (key === "tags") value.forEach((tag) => body.append("tags", tag));
    else body.append(key, Array.isArray(value) ? JSON.stringify(value) : value);
  }
  return { method: "POST", body };
}

async function checkReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Problem("This file can't be read", "Choose one picture. To add a folder, run: lookalike index FOLDER");
  }
}

// query: {file}, {url} or {id}
async function queryRequest({ file, url, id }, options) {
  if (!file) return json(withoutEmpty({ url, id, ...options }));
  await checkReadable(file);
  return form(file, options);
}

// options: {collection, tags, taken_from, taken_to, box, offset, limit}
export const search = async (query, options) => request("/search", await queryRequest(query, options));
export const preview = async (query, options) => (await fetchOk("/preview", await queryRequest(query, options))).blob();
export const image = (id, options) => request(withQuery(itemPath("/images", id), options));
export const removeImage = (id, options) => request(withQuery(itemPath("/images", id), options), keepalive(remove));
export const images = (options) => request(withQuery("/images", options));
export const tags = (options) => request(withQuery("/tags", options));
export const collections = () => request("/collections");
export const signIn = (key) => request("/session", json({ key }));

export const libraries = () => request("/libraries");
export const jobs = (options) => request(withQuery("/jobs", options));
export const job = (id) => request(itemPath("/jobs", id));
export const startJob = (values) => request("/jobs", keepalive(json(withoutEmpty(values))));
export const cancelJob = (id) => request(itemPath("/jobs", id), keepalive(remove));
export const retryJob = (id) => request(itemPath("/jobs", id, "/retry"), keepalive(post));
export const failures = (id, options) => request(withQuery(itemPath("/jobs", id, "/failures"), options));
export const failuresUrl = (id) => `/v1${itemPath("/jobs", id, "/failures.csv")}`;
export const jobEvents = (id) => new EventSource(`/v1${itemPath("/jobs", id, "/events")}`);

export const duplicates = (options) => request(withQuery("/duplicates", options));
export const duplicatesUrl = (format, options) => withQuery(`/v1/duplicates.${format}`, options);
export const startScan = (options) => request(withQuery("/duplicates/scan", options), keepalive(post));
export const stopScan = (options) => request(withQuery("/duplicates/scan", options), keepalive(remove));
export const decide = (id, values) => request(itemPath("/duplicates", id), keepalive(json(withoutEmpty(values))));
export const undoDecision = (id, options) => request(withQuery(itemPath("/duplicates", id, "/decision"), options), keepalive(remove));
export const decisions = (options) => request(withQuery("/duplicates/decisions", options));
