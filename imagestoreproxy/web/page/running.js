// How to start an instance of what is installed: whole commands, each with a button to copy it.

import { button, h, setText } from "/page/dom.js";
import { say } from "/page/announce.js";

const TOLD_MS = 2000;

/** Give the ways to run an image, or what is needed first. */
export function howToRun(answer) {
  const run = answer.run;
  if (!run?.ways?.length) {
    return h(
      "p.muted",
      null,
      answer.state?.status === "installed" || answer.state?.emi
        ? "The proxy gives no commands for this image."
        : "Install it first: then the commands that start it stand here.",
    );
  }
  return h(
    "div",
    null,
    run.notes?.length > 0 &&
      h(
        "ul.notes",
        null,
        run.notes.map((note) => h("li", null, note)),
      ),
    run.ways.map(way),
  );
}

function way(one) {
  const text = one.commands.join("\n");
  // It scrolls sideways, so the keyboard must reach it.
  const lines = h(
    "pre.commands",
    { tabindex: 0, role: "region", "aria-label": `Commands for ${one.name}` },
    h("code", null, text),
  );
  return h(
    "div.way",
    null,
    h("div.way-head", null, h("h3", null, one.name), copier(text, one.name, lines)),
    lines,
  );
}

function copier(text, name, lines) {
  const made = button(
    "Copy",
    async () => {
      const done = await copy(text);
      if (!done) {
        // The browser does not let the page: one key does it for who sits there.
        lines.focus();
        getSelection().selectAllChildren(lines);
      }
      made.textContent = done ? "Copied" : "Selected: press Ctrl+C";
      say(`The commands for ${name} are ${done ? "copied" : "selected: press Control and C"}.`);
      setTimeout(() => setText(made, "Copy"), done ? TOLD_MS : 4 * TOLD_MS);
    },
    { kind: "small" },
  );
  return made;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
