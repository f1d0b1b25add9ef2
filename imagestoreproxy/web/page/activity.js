// What goes on, what waits, what failed, and what was done before.

import { get, imageId } from "/page/api.js";
import { controls } from "/page/controls.js";
import { arrange, button, failure, fill, h, setText, skeletons } from "/page/dom.js";
import { runView } from "/page/history.js";
import { introduce, noteworthy, take, titleOf, watchAll } from "/page/shelf.js";
import { tile } from "/page/tile.js";
import { isGoing, many } from "/page/words.js";

const WINDOW = 20;
const SETTLE_MS = 600;

/** Give the page of what goes on. */
export function activityView(_route, life) {
  const going = group("Under way", "Nothing is being done just now.", life);
  const failed = group("Failed", "Nothing has failed.", life);
  const most = h("p.muted");
  const runs = h("ol.runs", { "aria-label": "History" }, skeletons(3, "row"));
  const nothing = h("p.muted", { hidden: true }, "Nothing was done yet.");
  const below = h("div.below");
  let order = [];
  let shownCount = WINDOW;
  let later = 0;

  function draw() {
    const states = noteworthy();
    const rank = (state) => {
      const place = order.indexOf(state["image-uri"]);
      return place < 0 ? order.length : place;
    };
    const busy = states.filter(isGoing).sort((a, b) => rank(a) - rank(b));
    going.show(busy.map((state) => state["image-uri"]));
    failed.show(states.filter((state) => !isGoing(state)).map((state) => state["image-uri"]));
  }

  async function load() {
    await Promise.all([loadQueue(), loadHistory()]);
  }

  async function loadQueue() {
    try {
      const { overview } = await get("/api/overview", {}, { signal: life });
      const queue = overview.queue;
      order = [...queue.running, ...queue.waiting, ...queue.paused];
      const parts = [
        `${many(queue.running.length, "image")} of at most ${queue["running-most"]} at a time`,
        queue.waiting.length && `${queue.waiting.length} waiting`,
        queue.paused.length && `${queue.paused.length} paused`,
      ];
      setText(most, order.length ? `${parts.filter(Boolean).join(", ")}.` : "");
      draw();
    } catch (error) {
      // The states say nearly as much.
      if (!life.aborted && error.status !== 404) setText(most, error.message);
    }
  }

  async function loadHistory() {
    try {
      const answer = await get("/api/history", { from: 0, count: shownCount }, { signal: life });
      nothing.hidden = answer.history.length > 0;
      arrange(
        runs,
        answer.history.map((run) => [JSON.stringify(run), () => runView(run, { titled: true })]),
      );
      fill(
        below,
        answer["history-total"] > answer.history.length &&
          button(
            "Show more",
            () => {
              shownCount += WINDOW;
              loadHistory();
            },
            { kind: "wide-quiet" },
          ),
      );
    } catch (error) {
      if (life.aborted) return;
      fill(runs);
      fill(below, failure(error, loadHistory));
    }
  }

  watchAll((state, before) => {
    const same =
      before &&
      before.status === state.status &&
      before.stage === state.stage &&
      before["error-message"] === state["error-message"];
    if (same) return;
    draw();
    clearTimeout(later);
    later = setTimeout(load, SETTLE_MS);
  }, life);
  life.addEventListener("abort", () => clearTimeout(later));

  async function begin() {
    try {
      take(await get("/api/dashboard", { brief: 1, from: 0, count: 1 }, { signal: life }));
    } catch {
      // The stream tells of them as well.
    }
    draw();
    load();
  }
  begin();
  return {
    title: "Activity",
    refresh: begin,
    node: h(
      "div.view",
      null,
      h("h1", null, "Activity"),
      h("section", null, going.heading, most, going.node),
      h("section", null, failed.heading, failed.node),
      h("section", null, h("h2", null, "History"), nothing, runs, below),
    ),
  };
}

/** A list of images by their URIs, of which only what comes and goes is touched. */
function group(title, nothing, life) {
  const list = h("ul.rows", { "aria-label": title });
  const empty = h("p.muted", null, nothing);
  const rows = new Map();

  function show(uris) {
    const wanted = new Set(uris);
    for (const [uri, row] of rows) {
      if (wanted.has(uri)) continue;
      row.end.abort();
      rows.delete(uri);
    }
    for (const uri of uris) if (!rows.has(uri)) rows.set(uri, rowOf(uri));
    arrange(
      list,
      uris.map((uri) => [uri, () => rows.get(uri).node]),
    );
    empty.hidden = uris.length > 0;
    list.hidden = uris.length === 0;
  }

  function rowOf(uri) {
    const end = new AbortController();
    life.addEventListener("abort", () => end.abort());
    const link = h("a", { href: `#/image/${imageId(uri)}` }, titleOf(uri));
    introduce(uri).then(() => setText(link, titleOf(uri)));
    const node = h(
      "li",
      null,
      h(
        "article.row",
        null,
        tile(titleOf(uri)),
        h("div.row-main", null, h("h3", null, link)),
        controls(uri, end.signal),
      ),
    );
    return { node, end };
  }

  show([]);
  return { heading: h("h2", null, title), node: h("div", null, empty, list), show };
}
