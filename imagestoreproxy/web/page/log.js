// The newest lines of the proxy's log, going on by themselves.

import { get } from "/page/api.js";
import { button, fail, fill, h } from "/page/dom.js";
import { moment } from "/page/words.js";

const LOOK_MS = 4000;
const MOST = 500;
const LEVELS = [
  ["debug", "All"],
  ["info", "Info and worse"],
  ["warn", "Warnings and errors"],
  ["error", "Errors"],
];

/** Give the log. */
export function logPanel(life) {
  const level = h(
    "select",
    { id: "level" },
    LEVELS.map(([value, text]) => h("option", { value, selected: value === "info" }, text)),
  );
  const list = h("ol");
  const room = h("div.log", { tabindex: 0, role: "region", "aria-label": "Log lines" }, list);
  const said = h("div");
  const hold = button(
    "Hold",
    () => {
      isHeld = !isHeld;
      hold.setAttribute("aria-pressed", String(isHeld));
      if (!isHeld) load();
    },
    { "aria-pressed": "false" },
  );
  let last = 0;
  let isHeld = false;
  let turn = 0;

  async function load() {
    turn += 1;
    const mine = turn;
    try {
      const answer = await get(
        "/api/log",
        { since: last || undefined, count: 200, level: level.value },
        { signal: life },
      );
      if (mine !== turn) return;
      // After a restart of the proxy the numbers begin anew.
      if (answer["last-number"] < last) {
        begin();
        return;
      }
      last = answer["last-number"];
      fill(
        said,
        !list.children.length &&
          !answer.log.length &&
          h("p.muted", null, "Nothing was logged at this level."),
      );
      append(answer.log);
    } catch (error) {
      if (life.aborted) return;
      fail(said, error, load);
    }
  }

  function append(lines) {
    if (!lines.length) return;
    const atEnd = room.scrollHeight - room.scrollTop - room.clientHeight < 40;
    list.append(...lines.map(line));
    while (list.children.length > MOST) list.firstChild.remove();
    if (atEnd) room.scrollTop = room.scrollHeight;
  }

  function begin() {
    last = 0;
    fill(list);
    load();
  }

  level.addEventListener("change", begin);
  const timer = setInterval(() => document.hidden || isHeld || load(), LOOK_MS);
  life.addEventListener("abort", () => clearInterval(timer));
  load();
  return h(
    "section.panel",
    null,
    h(
      "div.head-row",
      null,
      h("h2", null, "Log"),
      h("div.inline", null, h("label", { for: "level" }, "Show"), level, hold),
    ),
    said,
    room,
  );
}

function line(one) {
  return h(
    "li",
    { "data-level": one.level },
    h(
      "time",
      { datetime: one.at, title: moment(one.at) },
      new Date(one.at).toLocaleTimeString(undefined, { hour12: false }),
    ),
    h("span.level", null, one.level),
    h("span.text", null, one.text),
  );
}
