// Asks for an API key where the service wants one, and shows everything anew once it has it.
import * as api from "../lib/api.js";
import { element, failure } from "../lib/dom.js";

export function askForKey() {
  if (document.querySelector("#sign-in")) return; // several answers may say so at once
  const key = element("input", { type: "password", name: "key", required: true, autocomplete: "current-password" });
  const said = element("div");
  const form = element("form", {},
    element("h2", { textContent: "Sign in" }),
    element("label", {}, "API key", key),
    element("button", { className: "button", textContent: "Sign in" }), said);
  const dialog = element("dialog", { id: "sign-in" }, form);
  form.onsubmit = async (event) => {
    event.preventDefault();
    try {
      await api.signIn(key.value);
      location.reload();
    } catch (problem) {
      said.replaceChildren(failure(problem));
      key.select();
    }
  };
  dialog.onclose = () => dialog.remove();
  document.body.append(dialog);
  dialog.showModal();
}
