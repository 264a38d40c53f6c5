// The progress of a job, as a bar and a sentence.
import * as api from "../lib/api.js";
import { announce, button, element, errorNotice, muted } from "../lib/dom.js";
import { count, duration } from "../lib/format.js";

const STATES = {
  queued: "Waiting", running: "Running", done: "Done", done_with_failures: "Done with failures",
  cancelled: "Cancelled", failed: "Failed",
};

export const hasEnded = ({ state }) => state !== "queued" && state !== "running";
export const stateChip = ({ state }) =>
  element("span", { className: `state ${state}`, textContent: STATES[state] ?? state });

const processed = (job) => job.indexed + job.copied + job.skipped + job.failed;

function progressText(job) {
  if (job.state === "queued") return "Waiting. Jobs run one after another.";
  if (job.state === "running" && !job.found) return "Finding pictures…";
  if (!hasEnded(job)) {
    const rate = job.images_per_second ? `, ${Math.round(job.images_per_second).toLocaleString()} per second` : "";
    const left = job.seconds_left ? `, about ${duration(job.seconds_left)} left` : "";
    return `${processed(job).toLocaleString()} of ${count(job.found, "picture", "pictures")}${rate}${left}`;
  }
  return `${count(job.found, "picture", "pictures")} found: ${job.indexed.toLocaleString()} indexed, `
    + `${job.copied.toLocaleString()} copied, ${job.skipped.toLocaleString()} unchanged, `
    + `${job.removed.toLocaleString()} removed, ${job.failed.toLocaleString()} failed. Took ${duration(job.seconds)}.`;
}

export function progress(job) {
  const bar = hasEnded(job) ? null : element("progress", { max: Math.max(job.found, 1), "aria-label": "Progress" });
  if (bar && job.found) bar.value = processed(job);
  return element("div", { className: "progress" }, bar, muted(progressText(job)),
    job.reason ? element("p", { className: "reason", textContent: job.reason }) : null);
}

// onChange(job) is called after the job was cancelled or started again.
export function jobButtons(job, onChange) {
  const message = element("div");
  const actionButton = (text, call, busyText) => {
    const node = button(text, async () => {
      node.disabled = true;
      node.textContent = busyText;
      announce(busyText);
      try {
        onChange(await call(job.id));
      } catch (problem) {
        message.replaceChildren(errorNotice(problem));
        node.disabled = false;
        node.textContent = text;
      }
    }, { "data-focus": `act ${job.id}` });
    return node;
  };
  const node = hasEnded(job) ? actionButton("Run again", api.retryJob, "Starting…")
    : actionButton("Cancel", api.cancelJob, "Cancelling…");
  return element("div", { className: "row" }, node, message);
}
