// The view of one job: its live progress and its failures, which can be downloaded.
import * as api from "../lib/api.js";
import { announce, button, element, errorNotice, link, muted, pageTitle } from "../lib/dom.js";
import { hasEnded, jobButtons, progress, stateChip } from "../components/progress.js";
import { count } from "../lib/format.js";

const PAGE = 100;

function failureList(id, total) {
  const rows = element("tbody");
  const message = element("div");
  let offset = 0;

  async function loadMore() {
    message.replaceChildren(muted("Loading failures…"));
    try {
      const { failures } = await api.failures(id, { offset, limit: PAGE });
      offset += failures.length;
      rows.append(...failures.map(({ path, code, message: reason }) => element("tr", {},
        element("td", { textContent: path }), element("td", { textContent: reason }),
        element("td", {}, element("code", { textContent: code })))));
      message.replaceChildren(...(failures.length === PAGE && offset < total ? [button("Load more", loadMore)] : []));
    } catch (problem) {
      message.replaceChildren(errorNotice(problem, loadMore));
    }
  }

  loadMore();
  const headers = ["File", "Reason", "Code"].map((text) => element("th", { scope: "col", textContent: text }));
  return element("section", { "aria-labelledby": "failures" },
    element("div", { className: "row heading" },
      element("h2", { id: "failures", textContent: count(total, "failure", "failures") }),
      link("Download as CSV", api.failuresUrl(id), { download: "failures.csv" })),
    muted("These files were not indexed. Repair or delete them, then run the job again."),
    element("div", { className: "scroller", tabIndex: 0, role: "region", "aria-label": "Failures" },
      element("table", {}, element("thead", {}, element("tr", {}, ...headers)), rows)), message);
}

export function job(params, { urlFor, clearViewCache }) {
  const id = params.get("job");
  const heading = pageTitle("Job");
  const body = element("div", {}, muted("Loading job…"));
  const failures = element("div");
  const node = element("div", { className: "column" },
    link("All jobs", urlFor({ view: "indexing" })), heading, body, failures);
  let events = null;
  let listed = null; // number of failures in the list
  let previous = null;

  function draw(now) {
    heading.textContent = `Indexing ${now.source}`;
    const focused = body.contains(document.activeElement);
    body.replaceChildren(element("div", { className: "panel" },
      element("div", { className: "row" }, stateChip(now), muted(`Collection: ${now.collection}`)),
      progress(now), jobButtons(now, start)));
    if (focused) body.querySelector("button").focus({ preventScroll: true });
    if (hasEnded(now) && now.found > now.failed) {
      body.append(link("View pictures", urlFor({ collection: now.collection })));
    }
    if (hasEnded(now) && listed !== now.failed) {
      listed = now.failed;
      failures.replaceChildren(...(now.failed ? [failureList(id, now.failed)] : []));
    }
    if (previous && !hasEnded(previous) && hasEnded(now)) {
      clearViewCache(); // cached lists of pictures are out of date
      announce(`Indexing ${now.source} has finished.`);
    }
    previous = now;
  }

  async function start() {
    stop();
    try {
      draw(await api.job(id)); // an event stream has no error details
    } catch (problem) {
      body.replaceChildren(errorNotice(problem, start));
      return;
    }
    if (hasEnded(previous) || !node.isConnected) return;
    events = api.jobEvents(id);
    events.addEventListener("job", ({ data }) => {
      const now = JSON.parse(data);
      draw(now);
      if (hasEnded(now)) stop();
    });
    events.onerror = () => {
      if (!body.querySelector(".lost")) {
        body.append(element("p", { className: "muted lost", textContent: "Connection lost. Reconnecting…" }));
      }
    };
  }

  function stop() {
    events?.close();
    events = null;
  }

  node.addEventListener("shown", start);
  node.addEventListener("left", stop);
  return node;
}
