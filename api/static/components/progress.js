// How far a job is, in words, numbers and a bar.
import * as api from "../lib/api.js";
import { announce, button, element, failure, quiet } from "../lib/dom.js";
import { count, duration } from "../lib/format.js";

const STATES = {
  queued: "Waiting", running: "Running", done: "Done", done_with_failures: "Done, some failed",
  cancelled: "Cancelled", failed: "Failed",
};

export const ended = ({ state }) => state !== "queued" && state !== "running";
export const stateChip = ({ state }) =>
  element("span", { className: `state ${state}`, textContent: STATES[state] ?? state });

const done = (job) => job.indexed + job.copied + job.skipped + job.failed;

function sentence(job) {
  if (job.state === "queued") return "Queued: jobs run one after another.";
  if (job.state === "running" && !job.found) return "Loading pictures…";
  if (!ended(job)) {
    const rate = job.images_per_second ? `, ${Math.round(job.images_per_second).toLocaleString()} a second` : "";
    const left = job.seconds_left ? `, about ${duration(job.seconds_left)} left` : "";
    return `${done(job).toLocaleString()} of ${count(job.found, "picture", "pictures")}${rate}${left}`;
  }
  return `${count(job.found, "picture", "pictures")} found, ${job.indexed.toLocaleString()} indexed, `
    + `${job.copied.toLocaleString()} copied, ${job.skipped.toLocaleString()} unchanged, `
    + `${job.removed.toLocaleString()} removed, ${job.failed.toLocaleString()} failed in ${duration(job.seconds)}`;
}

export function progress(job) {
  const bar = ended(job) ? null : element("progress", { max: Math.max(job.found, 1), "aria-label": "Progress" });
  if (bar && job.found) bar.value = done(job);
  return element("div", { className: "progress" }, bar, quiet(sentence(job)),
    job.reason ? element("p", { className: "reason", textContent: job.reason }) : null);
}

// changed(job) is called after the job was cancelled or begun again.
export function jobButtons(job, changed) {
  const said = element("div");
  const act = (text, call, doing) => {
    const node = button(text, async () => {
      node.disabled = true;
      node.textContent = doing;
      announce(doing);
      try {
        changed(await call(job.id));
      } catch (problem) {
        said.replaceChildren(failure(problem));
        node.disabled = false;
        node.textContent = text;
      }
    }, { "data-focus": `act ${job.id}` });
    return node;
  };
  const node = ended(job) ? act("Run again", api.retryJob, "Starting…") : act("Cancel", api.cancelJob, "Cancelling…");
  return element("div", { className: "row" }, node, said);
}
