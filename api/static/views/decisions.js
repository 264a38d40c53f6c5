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
        announce("Taken back.");
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
  const heading = title("What was decided");
  const list = element("ul", { className: "panels" });
  const end = element("div", {}, quiet("Loading the decisions…"));
  let offset = 0;

  function undone() {
    forget(); // the list of groups has one more
    offset -= 1;
    heading.focus();
    if (!list.childElementCount) end.replaceChildren(nothing());
  }

  const nothing = () => notice(element("p", { textContent: "Nothing was decided yet. Keep a group, or say that it is none, and it stands here." }));

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
    quiet("It holds for the contents of pictures, under whatever names. What is taken back is shown among the duplicates again."),
    list, end);
}
