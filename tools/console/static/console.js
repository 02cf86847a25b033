// What htmx does not do: messages of errors, and the focus where a dialog's answer came.
"use strict";

const notices = () => document.getElementById("notices");

function notice(text, kind) {
  const note = document.createElement("div");
  note.className = `note ${kind}`;
  note.textContent = text;
  notices().replaceChildren(note);
}

document.addEventListener("htmx:error", () => {
  notice("The console does not answer. If it was stopped in the terminal, start it again.", "bad");
});
document.addEventListener("htmx:response:error", (event) => {
  const status = event.detail.ctx?.response?.status;
  notice(status === 401 || status === 403
    ? "The console was started anew: open the address that its terminal shows."
    : `The console could not do that (HTTP ${status}).`, "bad");
});
