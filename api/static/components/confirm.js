// Asks before something is done that cannot be taken back.
import { button, element, failure } from "../lib/dom.js";

// act() is called, and waited for, when the question is answered with yes.
export function ask(question, explanation, yes, act) {
  const said = element("div");
  const confirm = button(yes, async () => {
    confirm.disabled = true;
    try {
      await act();
      dialog.close();
    } catch (problem) {
      said.replaceChildren(failure(problem));
      confirm.disabled = false;
    }
  }, { className: "danger" });
  const dialog = element("dialog", { "aria-labelledby": "question" },
    element("h2", { id: "question", textContent: question }),
    element("p", { textContent: explanation }),
    element("div", { className: "row" }, button("Cancel", () => dialog.close(), { autofocus: true }), confirm), said);
  dialog.onclose = () => dialog.remove();
  document.body.append(dialog);
  dialog.showModal();
}
