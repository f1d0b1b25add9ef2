// What was done, and when: runs of installs and uninstalls with their events.

import { imageId } from "/page/api.js";
import { h, setText } from "/page/dom.js";
import { ago, bytes, duration, moment } from "/page/words.js";

const OUTCOMES = {
  "going-on": "Going on",
  installed: "Installed",
  failed: "Failed",
  cancelled: "Cancelled",
  uninstalled: "Uninstalled",
  paused: "Paused",
};

/** Give one run; with the title of its image, or, on the image's own page, with its events. */
export function runView(run, { titled = false } = {}) {
  const numbers = [
    run.version,
    run["ended-at"] && `took ${run.seconds < 1 ? "under a second" : duration(run.seconds)}`,
    run.bytes > 0 && bytes(run.bytes),
    run.emi,
  ];
  const events = run.events ?? [];
  return h(
    "li.run",
    { "data-outcome": run.outcome },
    h(
      "div.run-head",
      null,
      h("span.badge", { "data-outcome": run.outcome }, OUTCOMES[run.outcome] ?? run.outcome),
      titled &&
        h(
          "a.run-title",
          { href: `#/image/${imageId(run["image-uri"])}` },
          run.title || run["image-uri"],
        ),
      time(run["ended-at"] ?? run["began-at"]),
    ),
    h("p.marks", null, numbers.filter(Boolean).join(" · ")),
    run["error-message"] && h("p.run-error", null, run["error-message"]),
    events.length > 0 &&
      h(
        "details",
        null,
        h("summary", null, "What happened"),
        h("ol.events", null, events.map(event)),
      ),
  );
}

function event(one) {
  const numbers = [one.seconds > 0 && duration(one.seconds), one.bytes > 0 && bytes(one.bytes)];
  const more = numbers.filter(Boolean).join(", ");
  return h(
    "li",
    null,
    h("time", { datetime: one.at }, clock(one.at)),
    " ",
    one.text,
    more && h("span.muted", null, ` (${more})`),
  );
}

function clock(at) {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? "" : date.toLocaleTimeString();
}

/** Give a moment as how long ago it is; the whole of it on asking. */
export function time(at) {
  return h("time", { datetime: at, title: moment(at), "data-ago": true }, ago(at));
}

/** Keep what is said of times true while they pass. */
export function keepTime(everyMs = 20_000) {
  setInterval(() => {
    for (const one of document.querySelectorAll("time[data-ago]")) setText(one, ago(one.dateTime));
  }, everyMs);
}
