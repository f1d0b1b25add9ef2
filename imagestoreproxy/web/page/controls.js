// How an image is, and what can be done about it: one block that keeps itself up to date.

import { imageId, imagePath, post } from "/page/api.js";
import { askFollow, askInstall, askUninstall, perform } from "/page/ask.js";
import { button, fill, h, icon, setAttribute, setText } from "/page/dom.js";
import { imageOf, stateOf, takeState, titleOf, watch } from "/page/shelf.js";
import { isGoing, progress } from "/page/words.js";
import { say } from "/page/announce.js";

// In the order in which they stand; what a state does not offer is not there.
const LABELS = {
  install: "Install",
  retry: "Retry",
  resume: "Resume",
  pause: "Pause",
  cancel: "Cancel",
  "clear-error": "Clear error",
  uninstall: "Uninstall",
  forget: "Forget",
};
const PRIMARY = new Set(["install", "retry", "resume"]);

/**
 * Make the block of an image.
 *
 * @param {AbortSignal} life ends its listening.
 * @param {object} options full: errors whole; follow: with that button; run: with the way to run it.
 */
export function controls(uri, life, { full = false, follow = false, run = false } = {}) {
  const said = h("p.status");
  const bar = h("progress", {
    max: 100,
    "aria-label": `Progress of ${titleOf(uri)}`,
    hidden: true,
  });
  const error = h("div.error-place");
  const buttons = h("div.buttons");
  const node = h("div.controls", null, error, said, h("div.bar", null, bar), buttons);
  let offered = "";
  let failed = null;
  let refusal = "";

  function draw() {
    const state = stateOf(uri) ?? { status: "uninstalled", actions: {} };
    const kind = kindOf(state);
    setAttribute(node, "data-kind", kind);
    setText(said, isGoing(state) ? progress(state) : stillness(state, imageOf(uri)));
    bar.hidden = !isGoing(state);
    if (!bar.hidden) {
      const percent = state["progress-percentage"] ?? 0;
      if (bar.value !== percent || !bar.hasAttribute("value")) bar.value = percent;
    }
    drawError(refusal || state["error-message"] || "");
    drawButtons(state);
  }

  function drawError(text) {
    if (text === failed) return;
    // An error of before is no news to who comes to the view.
    const role = failed === null ? null : "alert";
    failed = text;
    fill(
      error,
      text &&
        h(
          `div.alert${full ? "" : ".clamped"}`,
          { role },
          icon("warn"),
          h("p", null, text),
        ),
    );
  }

  function drawButtons(state) {
    const names = Object.keys(LABELS).filter((name) => state.actions?.[name]);
    // The same by two names: the plainer one stays.
    if (names.includes("forget")) drop(names, "clear-error");
    if (names.includes("retry")) drop(names, "install");
    if (run && isThere(state)) names.splice(names[0] === "install" ? 1 : 0, 0, "run");
    if (follow && state.follows) names.push("unfollow");
    else if (follow && (state.actions?.install || isThere(state))) names.push("follow");
    const key = names.join(" ") + state["is-upgrade"];
    if (key === offered) return;
    offered = key;
    const hadFocus = buttons.contains(document.activeElement);
    fill(
      buttons,
      names.map((name) => make(name, state)),
    );
    if (hadFocus) (buttons.querySelector("button, a") ?? linkBefore(node))?.focus();
  }

  function make(name, state) {
    const upgrade = name === "install" && state["is-upgrade"];
    const title = titleOf(uri);
    if (name === "run") {
      const href = `#/image/${imageId(uri)}?at=run`;
      return h("a.button", { href, "aria-label": `How to run ${title}` }, "How to run");
    }
    const text = upgrade
      ? "Upgrade"
      : (LABELS[name] ?? (name === "follow" ? "Follow" : "Unfollow"));
    const spoken = name === "clear-error" ? `Clear error of ${title}` : `${text} ${title}`;
    const kind = PRIMARY.has(name) ? "primary" : name === "uninstall" ? "quiet" : "";
    const made = button(text, () => press(name, made, upgrade), { name: spoken, kind });
    return made;
  }

  async function press(name, pressed, upgrade) {
    if (pressed.hasAttribute("aria-disabled")) return;
    refusal = "";
    const title = titleOf(uri);
    if (name === "install") return askInstall(uri, title, { upgrade });
    if (name === "uninstall") return askUninstall(uri, title);
    if (name === "follow") return askFollow(uri, title, null, () => followed(true));
    try {
      if (name === "unfollow") {
        await post(imagePath(uri, "unfollow"));
        followed(false);
      } else {
        await perform(pressed, stateOf(uri)?.actions?.[name] ?? imagePath(uri, name));
      }
      draw();
    } catch (problem) {
      refusal = problem.message;
      draw();
    }
  }

  function followed(follows) {
    takeState({ ...stateOf(uri), "image-uri": uri, follows: follows || undefined });
    say(`${titleOf(uri)} is ${follows ? "" : "no longer "}followed.`);
    node.dispatchEvent(new Event("followed", { bubbles: true }));
  }

  watch(
    uri,
    (state, before) => {
      // What was refused before is past once something has happened.
      if (before && state.status !== before.status) refusal = "";
      draw();
    },
    life,
  );
  draw();
  return node;
}

/** Tell whether the cloud has it, in whatever version. */
function isThere(state) {
  return state.status === "installed" || Boolean(state["is-upgrade"]);
}

function drop(names, name) {
  if (names.includes(name)) names.splice(names.indexOf(name), 1);
}

function linkBefore(node) {
  return node.closest("article")?.querySelector("a[href]") ?? document.getElementById("main");
}

function kindOf(state) {
  if (isGoing(state)) return state.stage === "paused" ? "paused" : "going";
  if (state.status === "installed") return "installed";
  if (state["is-upgrade"]) return "upgrade";
  return state["error-message"] ? "failed" : "none";
}

/** Say how an image is that nothing is done with. */
function stillness(state, image) {
  const version = state["installed-version"];
  const followed = state.follows ? ", followed" : "";
  if (state.status === "installed") {
    return `Installed${followed}${state.emi ? ` · ${state.emi}` : ""}`;
  }
  if (state["is-upgrade"]) return `Installed${followed} · ${version}; ${image?.version} is newer`;
  if (state["error-message"]) return version ? `Was installed · ${version}` : "Failed";
  if (image?.refused) return "Not for this cloud";
  if (!state.actions?.install) return "Not on offer";
  return `Not installed${followed}`;
}
