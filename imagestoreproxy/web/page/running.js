// How to start an instance of what is installed: whole commands, each with a button to copy it.

import { button, h } from "/page/dom.js";
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
  return h(
    "div.way",
    null,
    h("div.way-head", null, h("h3", null, one.name), copier(text, one.name)),
    // It scrolls sideways, so the keyboard must reach it.
    h(
      "pre.commands",
      { tabindex: 0, role: "region", "aria-label": `Commands for ${one.name}` },
      h("code", null, text),
    ),
  );
}

function copier(text, name) {
  const made = button(
    "Copy",
    async () => {
      const done = await copy(text);
      made.textContent = done ? "Copied" : "Not copied";
      say(
        done ? `The commands for ${name} are copied.` : "The browser does not let the page copy.",
      );
      setTimeout(() => {
        made.textContent = "Copy";
      }, TOLD_MS);
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
