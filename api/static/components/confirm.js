// Asks for confirmation before an action that can't be undone.
import { button, element, errorNotice } from "../lib/dom.js";

// act() runs after confirmation; the dialog stays open until it ends, and shows its error.
export function confirmDialog(question, explanation, actionName, act) {
  const message = element("div");
  const confirm = button(actionName, async () => {
    confirm.disabled = true;
    try {
      await act();
      dialog.close();
    } catch (problem) {
      message.replaceChildren(errorNotice(problem));
      confirm.disabled = false;
    }
  }, { className: "danger" });
  const dialog = element("dialog", { "aria-labelledby": "question" },
    element("h2", { id: "question", textContent: question }),
    element("p", { textContent: explanation }),
    element("div", { className: "row" }, button("Cancel", () => dialog.close(), { autofocus: true }), confirm), message);
  dialog.onclose = () => dialog.remove();
  document.body.append(dialog);
  dialog.showModal();
}
