// Asks for an API key if the service requires one, then reloads the page.
import * as api from "../lib/api.js";
import { element, errorNotice } from "../lib/dom.js";

export function showSignIn() {
  if (document.querySelector("#sign-in")) return; // several requests may fail at once
  const key = element("input", { type: "password", name: "key", required: true, autocomplete: "current-password" });
  const message = element("div");
  const form = element("form", {},
    element("h2", { id: "sign-in-title", textContent: "Sign in" }),
    element("label", {}, "API key", key),
    element("button", { className: "button", textContent: "Sign in" }), message);
  const dialog = element("dialog", { id: "sign-in", "aria-labelledby": "sign-in-title" }, form);
  form.onsubmit = async (event) => {
    event.preventDefault();
    try {
      await api.signIn(key.value);
      location.reload();
    } catch (problem) {
      message.replaceChildren(errorNotice(problem));
      key.select();
    }
  };
  dialog.onclose = () => dialog.remove();
  document.body.append(dialog);
  dialog.showModal();
}
