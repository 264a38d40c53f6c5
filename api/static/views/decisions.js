// The view of what was decided about duplicates, each to be taken back.
import * as api from "../lib/api.js";
import { announce, button, element, failure, link, notice, quiet, title } from "../lib/dom.js";
import { DECIDED, KINDS } from "../components/duplicate-group.js";
import { date } from "../lib/format.js";

const PAGE = 100;

function group({ id, content_hashes: contents }) {
  const kind = KINDS[id.split("-")[0]]?.name ?? "A";
  return contents.length > 1 ? `${kind} group of ${contents.length} different pictures` : `${kind} group`;
}

function row(decision, collection, undone) {
  const said = element("div");
  const node = element("li", { className: "panel" }, element("div", { className: "row" },
    element("strong", { textContent: DECIDED[decision.decision] }),
    quiet(`${group(decision)}, ${date(decision.decided_at)}`),
    button("Undo", async () => {
      try {
        await api.undo(decision.id, { collection });
        announce("Undone.");
        node.remove();
        undone();
      } catch (problem) {
        said.replaceChildren(failure(problem));
      }
    }, { className: "small" })), said);
  return node;
}

export function kept(params, { to, forget }) {
  const collection = params.get("collection");
  const heading = title("Past decisions");
  const list = element("ul", { className: "panels" });
  const end = element("div", {}, quiet("Loading past decisions…"));
  let offset = 0;

  function undone() {
    forget(); // the list of groups has one more
    offset -= 1;
    heading.focus();
    if (!list.childElementCount) end.replaceChildren(nothing());
  }

  const nothing = () => notice(element("p", { textContent: "No decisions yet. Groups that you keep or split up appear here." }));

  async function more() {
    try {
      const { decisions, total } = await api.decisions({ collection, offset, limit: PAGE });
      offset += decisions.length;
      list.append(...decisions.map((decision) => row(decision, collection, undone)));
      end.replaceChildren(...(total ? [] : [nothing()]), ...(offset < total ? [button("Load more", more)] : []));
    } catch (problem) {
      end.replaceChildren(failure(problem, more));
    }
  }

  more();
  return element("div", { className: "narrow-page" }, link("All duplicates", to({ view: "duplicates" })), heading,
    quiet("Decisions apply to the contents of pictures, whatever their names. An undone group is shown among the duplicates again."),
    list, end);
}
