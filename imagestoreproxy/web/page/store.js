// The store: sections, a search as one types, and cards in windows of 48.

import { get, imageId } from "/page/api.js";
import { controls } from "/page/controls.js";
import {
  arrange,
  button,
  emptiness,
  failure,
  fill,
  h,
  icon,
  setAttribute,
  setText,
  skeletons,
} from "/page/dom.js";
import { address, rewrite } from "/page/router.js";
import { take } from "/page/shelf.js";
import { tile } from "/page/tile.js";
import { many, mebibytes } from "/page/words.js";

const WINDOW = 48;
// That the proxy gives at once.
const MOST = 500;
const TYPING_MS = 200;

/** Give the store as the address asks for it. */
export function storeView(route, life) {
  let query = route.params.get("q") ?? "";
  let section = route.params.get("section") ?? "";
  let shownCount = 0;
  let total = 0;
  let asking = new AbortController();
  let typing = 0;
  let images = [];
  const cards = new Map();

  const box = h("input.search", {
    type: "search",
    id: "search",
    "aria-label": "Search images",
    placeholder: "Search images",
    autocomplete: "off",
    spellcheck: "false",
    maxlength: 500,
    value: query,
    "aria-describedby": "search-help",
  });
  const sections = h("div.sections", { role: "group", "aria-label": "Sections" });
  const heading = h("h2.count-row-title", null, "");
  const count = h("p.count", { role: "status" });
  const list = h("ul.cards", { "aria-label": "Images" });
  const below = h("div.below");
  const problem = h("div", { "aria-live": "polite" });

  box.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(search, TYPING_MS);
  });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing) search();
  });
  life.addEventListener("abort", () => {
    clearTimeout(typing);
    asking.abort();
    for (const one of cards.values()) one.end.abort();
  });

  function search() {
    clearTimeout(typing);
    if (box.value.trim() === query) return;
    query = box.value.trim();
    again();
  }

  /** Begin anew: other words, or another section. */
  function again() {
    rewrite(address("store", { q: query, section }));
    load(0);
  }

  async function load(from, most = WINDOW) {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    if (from === 0) begin();
    try {
      const params = { brief: 1, from, count: most, section };
      const answer = query
        ? await get("/api/search", { q: query, ...params }, { signal })
        : await get("/api/dashboard", params, { signal });
      take(answer);
      show(answer, from, most);
    } catch (error) {
      if (signal.aborted) return;
      list.classList.remove("waiting");
      if (from === 0) fill(list);
      fill(
        below,
        failure(error, () => load(from, most)),
      );
    }
  }

  function begin() {
    setText(heading, query ? `Found for “${query}”` : section || "All images");
    // What stands there stays, paler, until the answer is here: a blink helps nobody.
    list.classList.add("waiting");
    setAttribute(list, "aria-busy", "true");
    if (!list.children.length) fill(list, skeletons(6, "card"));
    fill(below);
  }

  function show(answer, from, most) {
    total = answer["images-total"] ?? answer.images.length;
    // Behind the window come those in progress: they belong to other places.
    const here = answer.images.slice(0, Math.max(0, Math.min(most, total - from)));
    const before = from === 0 ? [] : images;
    const known = new Set(before.map((image) => image.uri));
    images = [...before, ...here.filter((image) => !known.has(image.uri))];
    drawCards();
    shownCount = from + here.length;
    list.classList.remove("waiting");
    list.removeAttribute("aria-busy");
    setText(count, many(total, "image"));
    if (problem.textContent !== (answer["error-message"] ?? ""))
      fill(problem, answer["error-message"] && h("p.notice", null, answer["error-message"]));
    drawSections(answer.sections ?? []);
    drawBelow(from, before.length);
  }

  /** Make new cards, end those that are no longer shown, and leave the rest as they are. */
  function drawCards() {
    const wanted = new Map(images.map((image) => [JSON.stringify(image), image]));
    for (const [key, one] of cards) {
      if (wanted.has(key)) continue;
      one.end.abort();
      cards.delete(key);
    }
    for (const [key, image] of wanted) {
      if (cards.has(key)) continue;
      const end = new AbortController();
      cards.set(key, { end, node: card(image, end.signal) });
    }
    arrange(
      list,
      [...wanted.keys()].map((key) => [key, () => cards.get(key).node]),
    );
  }

  function drawSections(known) {
    const names = known.map((one) => one.title).join("\n");
    if (sections.dataset.names !== names) {
      sections.dataset.names = names;
      fill(sections, [{ title: "" }, ...known].map(choice));
    }
    for (const one of sections.children) {
      setAttribute(one, "aria-pressed", String(one.dataset.section === section));
    }
  }

  function choice(one) {
    const made = button(
      one.title || "All",
      () => {
        section = one.title;
        again();
      },
      { kind: "chip", title: one.summary, "data-section": one.title, "aria-pressed": "false" },
    );
    if (one["image-count"] !== undefined)
      made.append(h("span.chip-count", { "aria-hidden": "true" }, one["image-count"]));
    return made;
  }

  function drawBelow(from, first) {
    if (total === 0) {
      const nothing = query
        ? emptiness(
            "Nothing found",
            `No image matches “${query}”${section ? ` in ${section}` : ""}.`,
            h(
              "p.small",
              null,
              'What is understood: words, "phrases", -without, release:noble, arch:amd64, source:NAME.',
            ),
            button("Clear the search", clear),
          )
        : emptiness(
            "No images here",
            section
              ? `There is no image in ${section}.`
              : "No source offers an image, or none could be asked yet. ",
            h("a", { href: "#/sources" }, "See how the sources are"),
          );
      fill(below, nothing);
      return;
    }
    const more =
      shownCount < total &&
      button("Show more images", () => load(shownCount), { kind: "wide-quiet" });
    fill(
      below,
      h("p.muted", null, `${Math.min(shownCount, total)} of ${many(total, "image")} shown`),
      more,
    );
    // The button that was pressed is another one now: go on reading with the first of the new.
    if (from > 0) list.children[first]?.querySelector("a")?.focus({ preventScroll: true });
  }

  function clear() {
    query = "";
    section = "";
    box.value = "";
    again();
    box.focus();
  }

  load(0);
  return {
    title: "Store",
    kept: true,
    hash: () => address("store", { q: query, section }),
    refresh: () => load(0, Math.min(MOST, Math.max(WINDOW, shownCount))),
    node: h(
      "div.view",
      null,
      h(
        "div.store-head",
        null,
        h("h1", null, "Store"),
        h("div.search-room", { role: "search" }, icon("search"), box),
      ),
      h(
        "p.away",
        { id: "search-help" },
        'Results follow as you type. Words, "phrases", -without, release:, arch:, source:',
      ),
      sections,
      problem,
      h("div.count-row", null, heading, count),
      list,
      below,
    ),
  };
}

/** Give an image as an entry of the list. */
export function card(image, life) {
  const marks = [image.version, image.architecture, image["size-in-mb"] > 0 && mebibytes(image["size-in-mb"])];
  return h(
    "li",
    null,
    h(
      "article.card",
      null,
      h(
        "div.card-head",
        null,
        tile(image.title),
        h(
          "div",
          null,
          h(
            "h3",
            null,
            h("a", { href: `#/image/${imageId(image.uri)}` }, image.title || image.uri),
          ),
          h("p.marks", null, marks.filter(Boolean).join(" · ")),
        ),
      ),
      h("p.summary", null, image.summary),
      controls(image.uri, life, { run: true }),
    ),
  );
}

