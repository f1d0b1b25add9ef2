// The questions before something is done: install, upgrade, uninstall, follow.

import { act, get, imagePath, post } from "/page/api.js";
import { ask } from "/page/dialog.js";
import { button, failure, fill, h, setText } from "/page/dom.js";
import { planView } from "/page/plan.js";
import { stateOf, take } from "/page/shelf.js";
import { bytes } from "/page/words.js";

/** Do something, and take what it answers; the button waits meanwhile. */
export async function perform(pressed, address, params) {
  pressed.setAttribute("aria-disabled", "true");
  try {
    take(await act(address, params));
  } finally {
    pressed.removeAttribute("aria-disabled");
  }
}

/** Show what an install would do, and do it when it is wished. */
export function askInstall(uri, title, { upgrade = false } = {}) {
  const verb = upgrade ? "Upgrade" : "Install";
  const body = h("div.plan-room");
  // The whole plan would be much to listen to: it is there to be read.
  const told = h("p.away", { role: "status" });
  const go = button(verb, () => install(), { kind: "primary", autofocus: true });
  const asked = ask(`${verb} ${title}?`, [told, body], [button("Close", () => asked.close()), go]);

  async function load() {
    go.setAttribute("aria-disabled", "true");
    setText(told, "");
    fill(body, h("p.muted", null, "Looking at what it takes ..."), h("div.bones.lines"));
    try {
      const { plan } = await get(imagePath(uri, "plan"), {}, { signal: asked.closed });
      fill(body, planView(plan));
      setText(told, `The plan is there. To fetch: ${bytes(plan["fetch-bytes"])}.`);
      if (!plan.problem) go.removeAttribute("aria-disabled");
      else setGo("Install anyway");
    } catch (error) {
      if (!asked.closed.aborted) fill(body, failure(error, load));
    }
  }

  function setGo(text) {
    go.textContent = text;
    go.removeAttribute("aria-disabled");
  }

  async function install() {
    if (go.hasAttribute("aria-disabled")) return;
    const address = stateOf(uri)?.actions?.install ?? imagePath(uri, "install");
    try {
      await perform(go, address);
      asked.close();
    } catch (error) {
      fill(body, failure(error, load));
    }
  }

  load();
}

/** Ask before an image leaves the cloud. */
export function askUninstall(uri, title) {
  const state = stateOf(uri);
  const body = h(
    "div",
    null,
    h(
      "p",
      null,
      "It is taken out of the cloud, and its files there are deleted. Instances that run go on, ",
      "but nothing more can be started from it.",
    ),
    state?.emi && h("p", null, "It is ", h("code", null, state.emi), "."),
    state?.follows && h("p", null, "It is also followed no longer."),
    h("div"),
  );
  const go = button(
    "Uninstall",
    async () => {
      try {
        await perform(go, stateOf(uri)?.actions?.uninstall ?? imagePath(uri, "uninstall"));
        asked.close();
      } catch (error) {
        fill(body.lastChild, failure(error));
      }
    },
    { kind: "danger" },
  );
  const keep = button("Keep", () => asked.close(), { autofocus: true });
  const asked = ask(`Uninstall ${title}?`, body, [keep, go]);
}

/** Ask how an image is to be followed. */
export function askFollow(uri, title, follow, whenDone) {
  const isHere = Boolean(stateOf(uri)?.["installed-version"] || stateOf(uri)?.emi);
  const keep = h("input", {
    type: "number",
    name: "keep",
    min: "0",
    max: "1000",
    value: follow?.keep ?? 0,
    "aria-describedby": "keep-help",
  });
  const evenIfUsed = h("input", { type: "checkbox", checked: follow?.["even-if-used"] });
  const said = h("div");
  const body = h(
    "div",
    null,
    h(
      "p",
      null,
      "Newer versions are installed by themselves from now on.",
      !isHere && " The image is not installed: that is done first.",
    ),
    h("label.field", null, h("span", null, "Versions to keep"), keep),
    h(
      "p.help",
      { id: "keep-help" },
      "Older ones are uninstalled once a newer one is there. 0 keeps all.",
    ),
    h(
      "label.check",
      null,
      evenIfUsed,
      h("span", null, "Remove an old version even where an instance was started from it"),
    ),
    said,
  );
  const go = button(
    "Follow",
    async () => {
      try {
        await post(imagePath(uri, "follow"), {
          keep: keep.value || "0",
          "even-if-used": evenIfUsed.checked ? "1" : "0",
        });
        asked.close();
        whenDone();
      } catch (error) {
        fill(said, failure(error));
      }
    },
    { kind: "primary" },
  );
  const asked = ask(`Follow ${title}?`, body, [button("Close", () => asked.close()), go]);
}
