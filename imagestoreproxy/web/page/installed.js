// What is installed, newest first, and what is followed.

import { get, imageId } from "/page/api.js";
import { controls } from "/page/controls.js";
import { arrange, button, emptiness, failure, fill, h, setText, skeletons } from "/page/dom.js";
import { take, watchAll } from "/page/shelf.js";
import { tile } from "/page/tile.js";
import { ago, many, moment } from "/page/words.js";

const WINDOW = 48;
const SETTLE_MS = 500;

/** Give the page of what is installed. */
export function installedView(_route, life) {
  const list = h("ul.rows", { "aria-label": "Installed images" }, skeletons(3, "row"));
  const count = h("p.count", { role: "status" });
  const below = h("div.below");
  const rows = new Map();
  let follows = new Map();
  let shownCount = WINDOW;
  let later = 0;

  async function load() {
    try {
      const [answer, told] = await Promise.all([
        get("/api/installed", { from: 0, count: shownCount }, { signal: life }),
        get("/api/follows", {}, { signal: life, statuses: [404] }),
      ]);
      follows = new Map((told.follows ?? []).map((one) => [one["image-uri"], one]));
      take(answer);
      show(answer);
    } catch (error) {
      if (!life.aborted) fill(below, failure(error, load));
      if (!rows.size) fill(list);
    }
  }

  function show(answer) {
    const total = answer["images-total"] ?? answer.images.length;
    const here = answer.images.slice(0, Math.min(shownCount, total));
    setText(count, many(total, "image"));
    const wanted = new Set(here.map((image) => image.uri));
    for (const [uri, row] of rows) {
      if (wanted.has(uri)) continue;
      rows.delete(uri);
    }
    for (const image of here) {
      if (!rows.has(image.uri)) rows.set(image.uri, rowOf(image, life));
      const state = answer.states.find((one) => one["image-uri"] === image.uri);
      rows.get(image.uri).tell(state, follows.get(image.uri));
    }
    arrange(
      list,
      here.map((image) => [image.uri, () => rows.get(image.uri)]),
    );
    fill(
      below,
      total === 0 &&
        emptiness(
          "Nothing is installed yet",
          "What you install from the store is listed here.",
          h("p", null, h("a", { href: "#/store" }, "To the store")),
        ),
      here.length < total &&
        button(
          "Show more images",
          () => {
            shownCount += WINDOW;
            load();
          },
          { kind: "wide-quiet" },
        ),
    );
  }

  function soon() {
    clearTimeout(later);
    later = setTimeout(load, SETTLE_MS);
  }
  watchAll((state, before) => {
    const changed = (name) => before?.[name] !== state[name];
    if (["status", "emi", "installed-version", "error-message"].some(changed)) soon();
  }, life);
  list.addEventListener("followed", soon);
  life.addEventListener("abort", () => clearTimeout(later));
  load();
  return {
    title: "Installed",
    refresh: load,
    node: h(
      "div.view",
      null,
      h("div.head-row", null, h("h1", null, "Installed"), count),
      list,
      below,
    ),
  };
}

function rowOf(image, life) {
  const when = h("p.marks");
  const follow = h("div.follow-words");
  const row = h(
    "li",
    null,
    h(
      "article.row",
      null,
      tile(image.title),
      h(
        "div.row-main",
        null,
        h("h2", null, h("a", { href: `#/image/${imageId(image.uri)}` }, image.title || image.uri)),
        when,
        follow,
      ),
      controls(image.uri, life, { full: true, follow: true, run: true }),
    ),
  );
  row.tell = (state, followed) => {
    const at = state?.["updated-at"];
    const said = [
      state?.["installed-version"] || image.version,
      image.architecture,
      at && `${ago(at)} (${moment(at)})`,
    ];
    setText(when, said.filter(Boolean).join(" · "));
    fill(follow, followed && followWords(followed));
  };
  return row;
}

function followWords(one) {
  const keep = one.keep ? `keeps the newest ${one.keep}` : "keeps all versions";
  return [
    h(
      "p.small",
      null,
      h("strong", null, "Followed"),
      `, ${keep}. Next look ${ago(one["next-check-at"])}:`,
    ),
    h(
      "ul.small",
      null,
      one.will.map((step) => h("li", null, step)),
    ),
  ];
}
