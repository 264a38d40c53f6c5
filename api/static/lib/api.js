// Speaks the HTTP API: one function a route, each answering its JSON or throwing a Problem.

export class Problem extends Error {
  constructor(title, detail, code = "") {
    super(detail.replace(/^./, (first) => first.toUpperCase()));
    this.title = title;
    this.code = code;
  }
}

async function answered(path, options) {
  let response;
  try {
    response = await fetch(`/v1${path}`, options);
  } catch {
    throw new Problem("No answer", "The service cannot be reached. Check that it is running, then try again.");
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  if (response.status === 401) dispatchEvent(new Event("keyneeded"));
  throw new Problem(
    body.title ?? "That did not work",
    body.detail ?? `The service answered ${response.status} without saying why.`,
    body.code);
}

async function request(path, options) {
  const response = await answered(path, options);
  return response.status === 204 ? null : response.json();
}

// Answers an address with those parameters that have a value; of a list each one.
export function withQuery(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of [value].flat()) if (one !== null && one !== undefined && one !== "") query.append(name, one);
  }
  return query.size ? `${path}?${query}` : path;
}

const json = (body) =>
  ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
const post = { method: "POST" };
const remove = { method: "DELETE" };
const lasting = (options) => ({ ...options, keepalive: true }); // done even if the page is left at once
const named = (path, id, rest = "") => `${path}/${encodeURIComponent(id)}${rest}`;
const given = (values) => Object.fromEntries(Object.entries(values).filter(([, value]) => value ?? false));

function form(file, options) {
  const body = new FormData();
  body.append("file", file);
  for (const [key, value] of Object.entries(given(options))) {
    if (key === "tags") value.forEach((tag) => body.append("tags", tag));
    else body.append(key, Array.isArray(value) ? JSON.stringify(value) : value);
  }
  return { method: "POST", body };
}

async function checkReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Problem("This file can't be opened as a picture", "Choose one picture. To add a folder, run: lookalike index FOLDER");
  }
}

// query: {file}, {url} or {id}
async function asked({ file, url, id }, options) {
  if (!file) return json(given({ url, id, ...options }));
  await checkReadable(file);
  return form(file, options);
}

// options: {collection, tags, taken_from, taken_to, box, offset, limit}
export const search = async (query, options) => request("/search", await asked(query, options));
export const preview = async (query, options) => (await answered("/preview", await asked(query, options))).blob();
export const image = (id, options) => request(withQuery(named("/images", id), options));
export const removeImage = (id, options) => request(withQuery(named("/images", id), options), lasting(remove));
export const images = (options) => request(withQuery("/images", options));
export const tags = (options) => request(withQuery("/tags", options));
export const collections = () => request("/collections");
export const signIn = (key) => request("/session", json({ key }));

export const libraries = () => request("/libraries");
export const jobs = (options) => request(withQuery("/jobs", options));
export const job = (id) => request(named("/jobs", id));
export const startJob = (values) => request("/jobs", lasting(json(given(values))));
export const cancelJob = (id) => request(named("/jobs", id), lasting(remove));
export const retryJob = (id) => request(named("/jobs", id, "/retry"), lasting(post));
export const failures = (id, options) => request(withQuery(named("/jobs", id, "/failures"), options));
export const failuresAddress = (id) => `/v1${named("/jobs", id, "/failures.csv")}`;
export const eventsOf = (id) => new EventSource(`/v1${named("/jobs", id, "/events")}`);

export const duplicates = (options) => request(withQuery("/duplicates", options));
export const duplicatesAddress = (form, options) => withQuery(`/v1/duplicates.${form}`, options);
export const look = (options) => request(withQuery("/duplicates/scan", options), lasting(post));
export const stopLooking = (options) => request(withQuery("/duplicates/scan", options), lasting(remove));
export const decide = (id, values) => request(named("/duplicates", id), lasting(json(given(values))));
export const undo = (id, options) => request(withQuery(named("/duplicates", id, "/decision"), options), lasting(remove));
export const decisions = (options) => request(withQuery("/duplicates/decisions", options));
