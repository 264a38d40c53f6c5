// The view of duplicates: groups by kind, page by page, how far looking for them is, and all of them as a file.
import * as api from "../lib/api.js";
import { button, element, failure, hidden, link, notice, quiet, title } from "../lib/dom.js";
import { KINDS, groupPanel, keptLink } from "../components/duplicate-group.js";
import { watch } from "../lib/poll.js";
import { count, date } from "../lib/format.js";

const PAGE = 20;
const WATCH_MS = 1500;
const STAGES = { reading: "Reading new pictures", comparing: "Comparing", looking: "Comparing the pixels of candidates" };

const active = ({ state }) => state === "queued" || state === "running";

function scanWords(scan) {
  if (active(scan)) {
    const far = scan.total ? `, ${scan.scanned.toLocaleString()} of ${scan.total.toLocaleString()}` : "";
    return `${STAGES[scan.stage] ?? "Starting the scan"}${far}. What is found so far is shown.`;
  }
  if (scan.state === "failed") return `Scanning for duplicates failed: ${scan.reason} Look again when that is mended.`;
  if (scan.state === "stopped") return "The scan was stopped: there may be more duplicates than are shown.";
  return scan.complete_at ? `Last looked at everything: ${date(scan.complete_at)}.` : "Not scanned yet.";
}

function scanBar(scan, collection, changed) {
  const act = (text, call) => button(text, async () => {
    try {
      changed(await call({ collection }));
    } catch (problem) {
      node.append(failure(problem));
    }
  }, { className: "small", "data-focus": "scan" });
  const bar = active(scan) ? element("progress", { max: Math.max(scan.total, 1), "aria-label": "Scanning for duplicates" }) : null;
  if (bar && scan.total) bar.value = scan.scanned;
  const node = element("div", { className: "progress" }, bar, element("div", { className: "row" }, quiet(scanWords(scan)),
    active(scan) ? act("Stop", api.stopLooking) : act("Scan again", api.look)));
  return node;
}

function kindLinks(totals, kind, to) {
  const all = Object.values(totals).reduce((sum, number) => sum + number, 0);
  const one = (name, value, number) => {
    const state = value === kind ? { "aria-current": "page" } : {};
    return element("li", {}, element("a", {
      className: "chip", href: to({ view: "duplicates", kind: value }), "data-focus": `kind ${value}`, ...state,
    }, name, element("span", { className: "quiet" }, number.toLocaleString(), hidden(number === 1 ? " group" : " groups"))));
  };
  return element("ul", { className: "chips", "aria-label": "Kinds" }, one("All", null, all),
    ...Object.entries(KINDS).map(([value, { name }]) => one(name, value, totals[value])));
}

function pager(page, pages, to) {
  if (pages < 2) return null;
  const step = (text, number) => number < 1 || number > pages ? null : link(text, to(number), { className: "button second" });
  return element("nav", { className: "row pager", "aria-label": "Pages of groups" },
    step("Previous", page - 1), quiet(`Page ${page} of ${pages}`), step("Next", page + 1));
}

function exportLinks(options) {
  return element("p", { className: "quiet" }, "Download all as ",
    link("CSV", api.duplicatesAddress("csv", options), { download: "" }), " or ",
    link("JSON", api.duplicatesAddress("json", options), { download: "" }));
}

export function duplicates(params, { to }) {
  const collection = params.get("collection");
  const kind = Object.hasOwn(KINDS, params.get("kind") ?? "") ? params.get("kind") : null;
  const page = Math.max(1, Number.parseInt(params.get("page"), 10) || 1);
  const [scanned, kinds, list, foot] = ["div", "div", "ul", "div"].map((name) => element(name));
  list.className = "panels";
  const node = element("div", {}, title("Duplicates"),
    element("p", { className: "quiet" },
      "No file is ever deleted here. Your decisions are remembered. ", keptLink(to)),
    scanned, kinds, list, foot);
  foot.append(quiet("Loading the groups…"));
  let drawn = null; // the groups that are shown, by their ids

  function empty(scan) {
    return notice(element("p", { textContent: active(scan) ? "Nothing found yet. Still scanning…"
      : `No ${kind ? `${kind} ` : ""}duplicates were found among these pictures.` }));
  }

  function draw(answer) {
    drawn = answer.groups.map(({ id }) => id).join();
    list.replaceChildren(...answer.groups.map((group) => groupPanel(group, collection, to)));
    const pages = Math.ceil(answer.total / PAGE);
    const parts = answer.groups.length
      ? [pager(page, pages, (number) => to({ view: "duplicates", kind, page: number })), exportLinks({ collection, kind })]
      : [empty(answer.scan)];
    foot.replaceChildren(...parts.filter(Boolean));
  }

  function drawHead(answer) {
    const focused = document.activeElement?.dataset?.focus;
    scanned.replaceChildren(scanBar(answer.scan, collection, refresh));
    kinds.replaceChildren(kindLinks(answer.totals, kind, to));
    if (focused && !document.activeElement?.dataset?.focus) {
      node.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    }
  }

  async function load() {
    try {
      const answer = await api.duplicates({ collection, kind, offset: (page - 1) * PAGE, limit: PAGE });
      drawHead(answer);
      const now = answer.groups.map(({ id }) => id).join();
      // groups that somebody looks at are not pulled away: others are offered
      if (!drawn) draw(answer);
      else if (now !== drawn && (active(answer.scan) || !list.querySelector(".decided"))) offer(answer);
      else if (!drawn.length) draw(answer);
      return active(answer.scan);
    } catch (problem) {
      if (!drawn) foot.replaceChildren(failure(problem, refresh));
      else scanned.replaceChildren(failure(problem, refresh));
      return false;
    }
  }

  function offer(answer) {
    const text = `Show ${count(answer.total, "group", "groups")} found by now`;
    const show = button(text, () => {
      draw(answer);
      show.remove();
      node.querySelector("h1").focus();
    }, { className: "small" });
    scanned.append(show);
  }

  const refresh = watch(node, WATCH_MS, load);
  return node;
}
