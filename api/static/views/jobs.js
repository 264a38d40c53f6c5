// The view of indexing: start a job on a library, and see all jobs, those that run live.
import * as api from "../lib/api.js";
import { announce, element, failure, link, notice, quiet, title } from "../lib/dom.js";
import { ended, jobButtons, progress, stateChip } from "../components/progress.js";
import { watch } from "../lib/poll.js";
import { count } from "../lib/format.js";

const MOST_JOBS = 100;
const WATCH_MS = 1000;

function startForm(libraries, collection, started) {
  const source = element("select", {}, ...libraries.map(({ name }) => new Option(name)));
  const prune = element("input", { type: "checkbox" });
  const said = element("div");
  const start = element("button", { className: "button", textContent: "Start indexing" });
  const form = element("form", { className: "start" },
    element("label", {}, element("span", { textContent: "Library" }), source),
    element("label", { className: "check" }, prune,
      element("span", { textContent: "Also remove entries whose files no longer exist" })),
    start, said);
  form.onsubmit = async (event) => {
    event.preventDefault();
    start.disabled = true;
    said.replaceChildren();
    try {
      const job = await api.startJob({ source: source.value, collection, prune: prune.checked || null });
      announce(`Indexing ${job.source} has started.`);
      started();
    } catch (problem) {
      said.replaceChildren(failure(problem));
    } finally {
      start.disabled = false;
    }
  };
  return form;
}

function noLibraries() {
  return notice(
    element("p", { textContent: "There are no libraries yet. The operator names the folders that jobs may read and restarts the service:" }),
    element("pre", { tabIndex: 0, textContent: "LOOKALIKE_LIBRARIES=holidays=/srv/photos/holidays lookalike serve" }));
}

function card(job, to, changed) {
  const href = to({ view: "indexing", job: job.id });
  return element("li", { className: "panel" },
    element("div", { className: "row" },
      element("h3", {}, link(job.source, href, { "data-focus": `job ${job.id}` })), stateChip(job),
      quiet(`into ${job.collection}`)),
    progress(job),
    element("div", { className: "row" }, jobButtons(job, changed),
      job.failed ? link(count(job.failed, "failure", "failures"), href) : null));
}

export function indexing(params, { to }) {
  const collection = params.get("collection");
  const form = element("section", { "aria-label": "New job" }, quiet("Loading the libraries…"));
  const list = element("ul", { className: "panels" });
  const said = element("div", {}, quiet("Loading the jobs…"));
  const node = element("div", { className: "narrow-page" }, title("Indexing"),
    quiet("Your pictures are only read. Unchanged pictures are not read again."),
    form, element("h2", { textContent: "Jobs" }), said, list);
  const drawn = new Map(); // id -> the job as it is shown

  function draw(jobs) {
    said.replaceChildren(...(jobs.length ? [] : [notice(element("p", { textContent: "No job has run yet. Start one above." }))]));
    const known = new Map(drawn);
    drawn.clear();
    const focused = document.activeElement?.dataset?.focus;
    list.replaceChildren(...jobs.map((job) => {
      const text = JSON.stringify(job);
      const same = known.get(job.id);
      if (same?.job.state && same.job.state !== job.state && ended(job)) announce(`Indexing ${job.source} has ended.`);
      const entry = same?.text === text ? same : { text, job, node: card(job, to, refresh) };
      drawn.set(job.id, entry);
      return entry.node;
    }));
    if (focused && document.activeElement === document.body) {
      list.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    }
  }

  async function load() {
    try {
      const { jobs } = await api.jobs({ limit: MOST_JOBS });
      draw(jobs);
      return jobs.some((job) => !ended(job));
    } catch (problem) {
      said.replaceChildren(failure(problem, refresh));
      return false;
    }
  }

  async function loadLibraries() {
    try {
      const { libraries } = await api.libraries();
      form.replaceChildren(libraries.length ? startForm(libraries, collection, refresh) : noLibraries());
    } catch (problem) {
      form.replaceChildren(failure(problem, loadLibraries));
    }
  }

  const refresh = watch(node, WATCH_MS, load);
  loadLibraries();
  return node;
}
