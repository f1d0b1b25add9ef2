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
  const goBack = wayBack(document.activeElement);
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
    if (document.activeElement === document.body) goBack();
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

/** Give the way back to the keyboard's place, or what is there then. */
function wayBack(opener) {
  const row = opener?.closest("li");
  const list = row?.parentElement;
  const at = list && [...list.children].indexOf(row);
  const places = [opener?.closest(".controls"), row];
  return () => {
    const next = list?.children[Math.min(at, list.children.length - 1)];
    const here = [...places, next].filter((one) => one?.isConnected);
    const found = here.map((one) => one.querySelector("a, button")).find(Boolean);
    const now = opener?.isConnected ? opener : found;
    (now ?? document.getElementById("main")).focus({ preventScroll: true });
  };
}

/** Close whatever is asked: the page below has changed. */
export function closeAll() {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
}
