// The view of past decisions about duplicates, each of which can be undone.
import * as api from "../lib/api.js";
import { announce, button, element, errorNotice, link, muted, notice, pageTitle } from "../lib/dom.js";
import { DECISIONS, KINDS } from "../components/duplicate-group.js";
import { dateTime } from "../lib/format.js";

const PAGE = 100;

function groupName({ id, content_hashes: contents }) {
  const kind = KINDS[id.split("-")[0]]?.name ?? "A";
  return contents.length > 1 ? `${kind} group of ${contents.length} different pictures` : `${kind} group`;
}

function decisionRow(decision, collection, onUndone) {
  const message = element("div");
  const node = element("li", { className: "panel" }, element("div", { className: "row" },
    element("strong", { textContent: DECISIONS[decision.decision] }),
    muted(`${groupName(decision)}, ${dateTime(decision.decided_at)}`),
    button("Undo", async () => {
      try {
        await api.undoDecision(decision.id, { collection });
        announce("The decision was undone.");
        node.remove();
        onUndone();
      } catch (problem) {
        message.replaceChildren(errorNotice(problem));
      }
    }, { className: "small" })), message);
  return node;
}

export function decisions(params, { urlFor, clearViewCache }) {
  const collection = params.get("collection");
  const heading = pageTitle("Past decisions");
  const list = element("ul", { className: "panels" });
  const end = element("div", {}, muted("Loading decisions…"));
  let offset = 0;

  function onUndone() {
    clearViewCache(); // the list of groups has one more
    offset -= 1;
    heading.focus();
    if (!list.childElementCount) end.replaceChildren(empty());
  }

  const empty = () => notice(element("p", { textContent: "No decisions yet. Choose “Keep all” or “Not duplicates” for a group, and the decision appears here." }));

  async function loadMore() {
    try {
      const page = await api.decisions({ collection, offset, limit: PAGE });
      offset += page.decisions.length;
      list.append(...page.decisions.map((decision) => decisionRow(decision, collection, onUndone)));
      end.replaceChildren(...(page.total ? [] : [empty()]), ...(offset < page.total ? [button("Load more", loadMore)] : []));
    } catch (problem) {
      end.replaceChildren(errorNotice(problem, loadMore));
    }
  }

  loadMore();
  return element("div", { className: "column" }, link("All duplicates", urlFor({ view: "duplicates" })), heading,
    muted("Decisions apply to the content of pictures, even if files are renamed. Undo a decision to see its group again."),
    list, end);
}
