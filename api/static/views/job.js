// The view of one job: watched live by its events, with what failed, to be seen and downloaded.
import * as api from "../lib/api.js";
import { announce, button, element, failure, link, notice, quiet, title } from "../lib/dom.js";
import { ended, jobButtons, progress, stateChip } from "../components/progress.js";
import { count } from "../lib/format.js";

const PAGE = 100;

function failureList(id, total) {
  const rows = element("tbody");
  const said = element("div");
  let offset = 0;

  async function more() {
    said.replaceChildren(quiet("Loading the failures…"));
    try {
      const { failures } = await api.failures(id, { offset, limit: PAGE });
      offset += failures.length;
      rows.append(...failures.map(({ path, code, message }) => element("tr", {},
        element("td", { textContent: path }), element("td", { textContent: message }),
        element("td", {}, element("code", { textContent: code })))));
      said.replaceChildren(...(failures.length === PAGE && offset < total ? [button("Load more", more)] : []));
    } catch (problem) {
      said.replaceChildren(failure(problem, more));
    }
  }

  more();
  const heads = ["File", "Why", "Code"].map((text) => element("th", { scope: "col", textContent: text }));
  return element("section", { "aria-labelledby": "failures" },
    element("div", { className: "row heading" },
      element("h2", { id: "failures", textContent: count(total, "failure", "failures") }),
      link("Download as CSV", api.failuresAddress(id), { download: "failures.csv" })),
    quiet("These pictures were skipped; all others are indexed. Repair or delete the files, then run the job again."),
    element("div", { className: "scroller", tabIndex: 0, role: "region", "aria-label": "Failures" },
      element("table", {}, element("thead", {}, element("tr", {}, ...heads)), rows)), said);
}

export function job(params, { to, forget }) {
  const id = params.get("job");
  const heading = title("Job");
  const body = element("div", {}, quiet("Loading the job…"));
  const failures = element("div");
  const node = element("div", { className: "narrow-page" },
    link("All jobs", to({ view: "indexing" })), heading, body, failures);
  let events = null;
  let listed = null; // number of failures that are listed
  let last = null;

  function draw(now) {
    heading.textContent = `Indexing ${now.source}`;
    const focused = body.contains(document.activeElement);
    body.replaceChildren(element("div", { className: "panel" },
      element("div", { className: "row" }, stateChip(now), quiet(`into ${now.collection}`)),
      progress(now), jobButtons(now, begin)));
    if (focused) body.querySelector("button").focus({ preventScroll: true });
    if (ended(now) && now.found > now.failed) {
      body.append(link("See the pictures", to({ collection: now.collection })));
    }
    if (ended(now) && listed !== now.failed) {
      listed = now.failed;
      failures.replaceChildren(...(now.failed ? [failureList(id, now.failed)] : []));
    }
    if (last && !ended(last) && ended(now)) {
      forget(); // lists of pictures that were seen before the job are no longer true
      announce(`Indexing ${now.source} has ended.`);
    }
    last = now;
  }

  async function begin() {
    stop();
    try {
      draw(await api.job(id)); // a stream cannot say what is wrong with it
    } catch (problem) {
      body.replaceChildren(failure(problem, begin));
      return;
    }
    if (ended(last) || !node.isConnected) return;
    events = api.eventsOf(id);
    events.addEventListener("job", ({ data }) => {
      const now = JSON.parse(data);
      draw(now);
      if (ended(now)) stop();
    });
    events.onerror = () => {
      if (!body.querySelector(".lost")) {
        body.append(element("p", { className: "quiet lost", textContent: "The connection was lost. Trying again…" }));
      }
    };
  }

  function stop() {
    events?.close();
    events = null;
  }

  node.addEventListener("shown", begin);
  node.addEventListener("left", stop);
  return node;
}
