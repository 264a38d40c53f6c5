// The view of duplicates: groups by kind, page by page, the progress of the scan, and downloads.
import * as api from "../lib/api.js";
import { button, element, errorNotice, link, muted, notice, pageTitle, visuallyHidden } from "../lib/dom.js";
import { KINDS, decisionsLink, duplicateGroup } from "../components/duplicate-group.js";
import { poll } from "../lib/poll.js";
import { count, dateTime } from "../lib/format.js";

const PAGE = 20;
const POLL_MS = 1500;
const STAGES = { reading: "Reading new pictures", comparing: "Comparing pictures", looking: "Comparing pixels" };

const isActive = ({ state }) => state === "queued" || state === "running";

function scanText(scan) {
  if (isActive(scan)) {
    const position = scan.total ? `, ${scan.scanned.toLocaleString()} of ${scan.total.toLocaleString()}` : "";
    return `${STAGES[scan.stage] ?? "Starting the scan"}${position}. Results so far are shown.`;
  }
  if (scan.state === "failed") return `The scan failed: ${scan.reason} Scan again after the problem is fixed.`;
  if (scan.state === "stopped") return "The scan was stopped. There may be more duplicates than shown.";
  return scan.complete_at ? `Last full scan: ${dateTime(scan.complete_at)}.` : "Not scanned yet.";
}

function scanBar(scan, collection, onChange) {
  const actionButton = (text, call) => button(text, async () => {
    try {
      onChange(await call({ collection }));
    } catch (problem) {
      node.append(errorNotice(problem));
    }
  }, { className: "small", "data-focus": "scan" });
  const bar = isActive(scan) ? element("progress", { max: Math.max(scan.total, 1), "aria-label": "Scan progress" }) : null;
  if (bar && scan.total) bar.value = scan.scanned;
  const node = element("div", { className: "progress" }, bar, element("div", { className: "row" }, muted(scanText(scan)),
    isActive(scan) ? actionButton("Stop scan", api.stopScan) : actionButton("Scan again", api.startScan)));
  return node;
}

function kindLinks(totals, kind, urlFor) {
  const all = Object.values(totals).reduce((sum, number) => sum + number, 0);
  const kindLink = (name, value, number) => {
    const state = value === kind ? { "aria-current": "page" } : {};
    return element("li", {}, element("a", {
      className: "chip", href: urlFor({ view: "duplicates", kind: value }), "data-focus": `kind ${value}`, ...state,
    }, name, element("span", { className: "muted" }, number.toLocaleString(), visuallyHidden(number === 1 ? " group" : " groups"))));
  };
  return element("ul", { className: "chips", "aria-label": "Kinds of duplicates" }, kindLink("All", null, all),
    ...Object.entries(KINDS).map(([value, { name }]) => kindLink(name, value, totals[value])));
}

function pager(page, pages, hrefOf) {
  if (pages < 2) return null;
  const step = (text, number) => number < 1 || number > pages ? null : link(text, hrefOf(number), { className: "button second" });
  return element("nav", { className: "row pager", "aria-label": "Pages" },
    step("Previous", page - 1), muted(`Page ${page} of ${pages}`), step("Next", page + 1));
}

function exportLinks(options) {
  return element("p", { className: "muted" }, "Download all groups as ",
    link("CSV", api.duplicatesUrl("csv", options), { download: "" }), " or ",
    link("JSON", api.duplicatesUrl("json", options), { download: "" }));
}

export function duplicates(params, { urlFor }) {
  const collection = params.get("collection");
  const kind = Object.hasOwn(KINDS, params.get("kind") ?? "") ? params.get("kind") : null;
  const page = Math.max(1, Number.parseInt(params.get("page"), 10) || 1);
  const [scanStatus, kinds, list, foot] = ["div", "div", "ul", "div"].map((name) => element(name));
  list.className = "panels";
  const node = element("div", {}, pageTitle("Duplicates"),
    element("p", { className: "muted" },
      "No files are deleted here. Decisions are remembered. ", decisionsLink(urlFor)),
    scanStatus, kinds, list, foot);
  foot.append(muted("Loading groups…"));
  let drawn = null; // the ids of the groups that are shown

  function empty(scan) {
    return notice(element("p", { textContent: isActive(scan) ? "No duplicates found yet. The scan is still running…"
      : kind ? "No groups of this kind found." : "No duplicates found." }));
  }

  function draw(answer) {
    drawn = answer.groups.map(({ id }) => id).join();
    list.replaceChildren(...answer.groups.map((group) => duplicateGroup(group, collection, urlFor)));
    const pages = Math.ceil(answer.total / PAGE);
    const parts = answer.groups.length
      ? [pager(page, pages, (number) => urlFor({ view: "duplicates", kind, page: number })), exportLinks({ collection, kind })]
      : [empty(answer.scan)];
    foot.replaceChildren(...parts.filter(Boolean));
  }

  function drawHead(answer) {
    const focused = document.activeElement?.dataset?.focus;
    scanStatus.replaceChildren(scanBar(answer.scan, collection, refresh));
    kinds.replaceChildren(kindLinks(answer.totals, kind, urlFor));
    if (focused && !document.activeElement?.dataset?.focus) {
      node.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    }
  }

  async function load() {
    try {
      const answer = await api.duplicates({ collection, kind, offset: (page - 1) * PAGE, limit: PAGE });
      drawHead(answer);
      const ids = answer.groups.map(({ id }) => id).join();
      // visible groups are not replaced without asking
      if (!drawn) draw(answer);
      else if (ids !== drawn && (isActive(answer.scan) || !list.querySelector(".decided"))) offerUpdate(answer);
      else if (!drawn.length) draw(answer);
      return isActive(answer.scan);
    } catch (problem) {
      if (!drawn) foot.replaceChildren(errorNotice(problem, refresh));
      else scanStatus.replaceChildren(errorNotice(problem, refresh));
      return false;
    }
  }

  function offerUpdate(answer) {
    const text = `Show ${count(answer.total, "group", "groups")} found so far`;
    const show = button(text, () => {
      draw(answer);
      show.remove();
      node.querySelector("h1").focus();
    }, { className: "small" });
    scanStatus.append(show);
  }

  const refresh = poll(node, POLL_MS, load);
  return node;
}
