// The view of indexing: starts a job on a library and lists all jobs with live progress.
import * as api from "../lib/api.js";
import { announce, element, errorNotice, link, muted, notice, pageTitle } from "../lib/dom.js";
import { hasEnded, jobButtons, progress, stateChip } from "../components/progress.js";
import { poll } from "../lib/poll.js";
import { count } from "../lib/format.js";

const MAX_JOBS = 100;
const POLL_MS = 1000;

function startForm(libraries, collection, onStarted) {
  const source = element("select", {}, ...libraries.map(({ name }) => new Option(name)));
  const prune = element("input", { type: "checkbox" });
  const message = element("div");
  const start = element("button", { className: "button", textContent: "Start indexing" });
  const form = element("form", { className: "start-form" },
    element("label", {}, element("span", { textContent: "Library" }), source),
    element("label", { className: "check" }, prune,
      element("span", { textContent: "Also remove entries whose files no longer exist" })),
    start, message);
  form.onsubmit = async (event) => {
    event.preventDefault();
    start.disabled = true;
    message.replaceChildren();
    try {
      const job = await api.startJob({ source: source.value, collection, prune: prune.checked || null });
      announce(`Indexing ${job.source} has started.`);
      onStarted();
    } catch (problem) {
      message.replaceChildren(errorNotice(problem));
    } finally {
      start.disabled = false;
    }
  };
  return form;
}

function noLibraries() {
  return notice(
    element("p", { textContent: "No libraries are configured. Set LOOKALIKE_LIBRARIES to the folders that jobs may read, then restart the service:" }),
    element("pre", { tabIndex: 0, textContent: "LOOKALIKE_LIBRARIES=holidays=/srv/photos/holidays lookalike serve" }));
}

function card(job, urlFor, onChange) {
  const href = urlFor({ view: "indexing", job: job.id });
  return element("li", { className: "panel" },
    element("div", { className: "row" },
      element("h3", {}, link(job.source, href, { "data-focus": `job ${job.id}` })), stateChip(job),
      muted(`Collection: ${job.collection}`)),
    progress(job),
    element("div", { className: "row" }, jobButtons(job, onChange),
      job.failed ? link(count(job.failed, "failure", "failures"), href) : null));
}

export function jobs(params, { urlFor }) {
  const collection = params.get("collection");
  const form = element("section", { "aria-label": "New job" }, muted("Loading libraries…"));
  const list = element("ul", { className: "panels" });
  const message = element("div", {}, muted("Loading jobs…"));
  const node = element("div", { className: "column" }, pageTitle("Indexing"),
    muted("Your files are only read, never changed. Pictures that are already indexed and unchanged are skipped."),
    form, element("h2", { textContent: "Jobs" }), message, list);
  const drawn = new Map(); // id -> the entry that is shown

  function draw(latest) {
    message.replaceChildren(...(latest.length ? [] : [notice(element("p", { textContent: "No jobs yet. Start one above." }))]));
    const previous = new Map(drawn);
    drawn.clear();
    const focused = document.activeElement?.dataset?.focus;
    list.replaceChildren(...latest.map((job) => {
      const text = JSON.stringify(job);
      const same = previous.get(job.id);
      if (same?.job.state && same.job.state !== job.state && hasEnded(job)) announce(`Indexing ${job.source} has finished.`);
      const entry = same?.text === text ? same : { text, job, node: card(job, urlFor, refresh) };
      drawn.set(job.id, entry);
      return entry.node;
    }));
    if (focused && document.activeElement === document.body) {
      list.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    }
  }

  async function load() {
    try {
      const { jobs: latest } = await api.jobs({ limit: MAX_JOBS });
      draw(latest);
      return latest.some((job) => !hasEnded(job));
    } catch (problem) {
      message.replaceChildren(errorNotice(problem, refresh));
      return false;
    }
  }

  async function loadLibraries() {
    try {
      const { libraries } = await api.libraries();
      form.replaceChildren(libraries.length ? startForm(libraries, collection, refresh) : noLibraries());
    } catch (problem) {
      form.replaceChildren(errorNotice(problem, loadLibraries));
    }
  }

  const refresh = poll(node, POLL_MS, load);
  loadLibraries();
  return node;
}
