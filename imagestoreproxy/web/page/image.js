// One image: everything that is known of it, how to run it, and what was done with it.

import { get, imageId, imagePath } from "/page/api.js";
import { describe, details } from "/page/about.js";
import { controls } from "/page/controls.js";
import { arrange, failure, fill, h, icon } from "/page/dom.js";
import { runView } from "/page/history.js";
import { storeAddress } from "/page/router.js";
import { howToRun } from "/page/running.js";
import { take, watch } from "/page/shelf.js";
import { tile } from "/page/tile.js";
import { isGoing } from "/page/words.js";

/** Give the page of an image. */
export function imageView(route, life) {
  // Dots would lead elsewhere.
  const path = `/api/images/${route.id.replace(/[^\w-]/g, "")}`;
  const node = h("div.view", null, bones());
  const view = { title: "Image", node, refresh: load };
  const runHeading = h("h2", { tabindex: -1 }, "How to run");
  const running = h("div");
  const runs = h("ol.runs", { hidden: true });
  const nothing = h("p.muted", null, "Nothing was done with this image yet.");
  const problem = h("div");
  let drawn = "";

  async function load() {
    try {
      const answer = await get(path, {}, { signal: life });
      take(answer);
      draw(answer);
      loadHistory();
    } catch (error) {
      if (!life.aborted) fill(node, back(), h("h1", null, "Image"), failure(error, load));
    }
  }

  function draw(answer) {
    fill(running, howToRun(answer));
    const key = JSON.stringify([answer.image, answer.versions, answer["signed-by"]]);
    if (key === drawn) return;
    const isFirst = !drawn;
    drawn = key;
    const image = answer.image ?? {
      uri: answer.state["image-uri"],
      title: answer.state["image-uri"],
    };
    view.title = image.title;
    view.retitle?.();
    fill(
      node,
      back(),
      h(
        "div.image-head",
        null,
        tile(image.title, "large"),
        h("div", null, h("h1", null, image.title), h("p.lead", null, image.summary)),
      ),
      h("div.panel", null, controls(image.uri, life, { full: true, follow: true })),
      h(
        "div.columns",
        null,
        h(
          "div.column-main",
          null,
          describe(image),
          h("section", null, runHeading, running),
          h("section", null, h("h2", null, "History"), problem, nothing, runs),
        ),
        h("div.column-side", null, details(image, answer), versions(answer)),
      ),
    );
    if (!isFirst) return;
    listen(image.uri);
    if (route.params.get("at") === "run") {
      runHeading.scrollIntoView();
      runHeading.focus({ preventScroll: true });
    }
  }

  function listen(uri) {
    watch(
      uri,
      (state, before) => {
        const settled = isGoing(before) && !isGoing(state);
        if (settled || before?.status !== state.status || before?.emi !== state.emi) load();
      },
      life,
    );
  }

  async function loadHistory() {
    try {
      const { history } = await get(`${path}/history`, {}, { signal: life });
      runs.hidden = !history.length;
      nothing.hidden = history.length > 0;
      arrange(
        runs,
        history.map((run) => [JSON.stringify(run), () => runView(run)]),
      );
      fill(problem);
    } catch (error) {
      if (life.aborted) return;
      nothing.hidden = true;
      fill(problem, failure(error, loadHistory));
    }
  }

  load();
  return view;
}

function back() {
  return h("p.back", null, h("a", { href: storeAddress() }, icon("back"), "Back to the store"));
}

function bones() {
  return [
    h("p.back", null, "\u00a0"),
    h("div.image-head", null, h("div.bones.square"), h("div.grow", null, h("div.bones.title"))),
    h("div.bones.panel-bones"),
    h("p.away", { role: "status" }, "Loading"),
  ];
}

function versions(answer) {
  const all = answer.versions ?? [];
  return h(
    "section.panel",
    null,
    h("h2", null, "Versions"),
    all.length
      ? h(
          "ul.versions",
          null,
          all.map((one) =>
            h(
              "li",
              null,
              one.uri === answer.image?.uri
                ? h("span", null, one.version || "this one")
                : h("a", { href: `#/image/${imageId(one.uri)}` }, one.version || one.uri),
            ),
          ),
        )
      : h("p.muted", null, answer.image?.version || "No other version is on offer."),
  );
}
