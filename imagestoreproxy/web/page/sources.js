// Where images come from, how each source is, and when it is asked again.

import { get, post } from "/page/api.js";
import { say } from "/page/announce.js";
import { arrange, button, emptiness, fail, failure, fill, facts, h, icon, skeletons } from "/page/dom.js";
import { time } from "/page/history.js";
import { many } from "/page/words.js";

const LOOK_MS = 30_000;

/** Give the page of the sources. */
export function sourcesView(_route, life) {
  const list = h("ul.rows", { "aria-label": "Sources" }, skeletons(2, "row"));
  const said = h("div");
  const refresh = button("Refresh all sources", ask, { kind: "primary" });

  function show(sources) {
    arrange(
      list,
      sources.map((one) => [JSON.stringify(one), () => row(one)]),
    );
    if (!sources.length)
      fill(said, emptiness("No sources", "None is configured: see docs/sources.md."));
  }

  async function load() {
    try {
      const { sources } = await get("/api/sources", {}, { signal: life });
      fill(said);
      show(sources);
    } catch (error) {
      if (life.aborted) return;
      fail(said, error, load);
      if (list.querySelector(".bones")) fill(list);
    }
  }

  async function ask() {
    if (refresh.hasAttribute("aria-disabled")) return;
    refresh.setAttribute("aria-disabled", "true");
    refresh.textContent = "Asking ...";
    try {
      const { sources } = await post("/api/sources/refresh", {}, { signal: life });
      dispatchEvent(new Event("catalogue"));
      fill(said);
      show(sources);
      const bad = sources.filter((one) => one.problem).length;
      say(bad ? `${many(bad, "source")} could not be read.` : "All sources are up to date.");
    } catch (error) {
      if (!life.aborted) fill(said, failure(error, ask));
    } finally {
      refresh.removeAttribute("aria-disabled");
      refresh.textContent = "Refresh all sources";
    }
  }

  const timer = setInterval(() => document.hidden || load(), LOOK_MS);
  life.addEventListener("abort", () => clearInterval(timer));
  load();
  return {
    title: "Sources",
    refresh: load,
    node: h(
      "div.view",
      null,
      h("div.head-row", null, h("h1", null, "Sources"), refresh),
      said,
      list,
    ),
  };
}

function row(one) {
  const health = one.problem ? "bad" : one.remark || one.unsigned ? "fair" : "good";
  return h(
    "li",
    null,
    h(
      "article.source",
      { "data-health": health },
      h(
        "div.run-head",
        null,
        h(
          "span.badge",
          { "data-health": health },
          icon(health === "good" ? "check" : "warn"),
          one.problem ? "Problem" : one.remark ? "Take note" : "Good",
        ),
        h("h2", null, one.title || one.name),
      ),
      one.problem && h("p.run-error", null, one.problem),
      one.remark && h("p", null, one.remark),
      one.unsigned && h("p", null, "What it offers is not signed."),
      facts([
        ["Name", one.title && one.title !== one.name && one.name],
        ["Kind", one.type],
        ["Images", one.images + (one.refused ? `, and ${one.refused} not for this cloud` : "")],
        ["Read", one["fetched-at"] && time(one["fetched-at"])],
        ["Published", one["published-at"] && time(one["published-at"])],
        ["Asked again", one["next-refresh-at"] && time(one["next-refresh-at"])],
        ["Address", h("span.address", null, one.url)],
      ]),
    ),
  );
}
