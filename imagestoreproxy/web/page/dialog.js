// A question in front of the page: the browser's own <dialog>, which keeps the keyboard inside.

import { h } from "/page/dom.js";

let count = 0;

/**
 * Ask something.
 *
 * @param {string} title its name.
 * @param {Node|Node[]} body what is said.
 * @param {Node[]} buttons they close it themselves; one may have "autofocus".
 * @param {Function} whenClosed called once it is gone.
 * @returns {{close: Function, closed: AbortSignal}}
 */
export function ask(title, body, buttons, whenClosed = () => {}) {
  count += 1;
  const opener = document.activeElement;
  const place = opener?.closest(".controls");
  const gone = new AbortController();
  const heading = h("h2", { id: `ask-${count}` }, title);
  const dialog = h("dialog", { "aria-labelledby": heading.id }, heading, body);
  dialog.append(h("div.dialog-end", null, buttons));
  // A click beside it closes it; one that began inside (selecting text) does not.
  let pressedBeside = false;
  dialog.addEventListener("pointerdown", (event) => {
    pressedBeside = event.target === dialog && isBeside(dialog, event);
  });
  dialog.addEventListener("click", (event) => {
    if (pressedBeside && event.target === dialog && isBeside(dialog, event)) dialog.close();
  });
  dialog.addEventListener("close", () => {
    gone.abort();
    dialog.remove();
    // What stands there now may have taken the keyboard already: the login does.
    if (document.activeElement === document.body) returnTo(opener, place);
    whenClosed();
  });
  document.body.append(dialog);
  dialog.showModal();
  // Where there is little room the button that has the keyboard would hide the question.
  dialog.scrollTop = 0;
  return { close: () => dialog.open && dialog.close(), closed: gone.signal };
}

function isBeside(dialog, event) {
  const box = dialog.getBoundingClientRect();
  return (
    event.clientX < box.left ||
    event.clientX > box.right ||
    event.clientY < box.top ||
    event.clientY > box.bottom
  );
}

/** Give the keyboard back to where it was, or to what stands in that place now. */
function returnTo(opener, place) {
  const now = opener?.isConnected ? opener : place?.isConnected && place.querySelector("button, a");
  (now || document.getElementById("main")).focus({ preventScroll: true });
}

/** Close whatever is asked: the page below has changed. */
export function closeAll() {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
}
