// The proxy itself: what its checks found, its disk, its bandwidth, and its log.

import { get, post } from "/page/api.js";
import { say } from "/page/announce.js";
import { button, fail, failure, facts, fill, h, icon } from "/page/dom.js";
import { time } from "/page/history.js";
import { logPanel } from "/page/log.js";
import { bytes, many } from "/page/words.js";

const LOOK_MS = 15_000;

/** Give the page of the proxy itself. */
export function systemView(_route, life) {
  const overview = overviewPart(life);
  const checks = checksPart(life);
  const bandwidth = bandwidthPart(life);
  const log = logPanel(life);
  const load = () => [overview, checks, bandwidth].forEach((one) => one.load());
  const timer = setInterval(() => document.hidden || overview.load(), LOOK_MS);
  life.addEventListener("abort", () => clearInterval(timer));
  load();
  return {
    title: "System",
    refresh: () => {
      [overview, checks].forEach((one) => one.load());
      // What is being typed there stays.
      if (bandwidth.node.querySelector(".alert")) bandwidth.load();
    },
    node: h(
      "div.view",
      null,
      h("h1", null, "System"),
      h("div.grid-two", null, h("div.stack", null, overview.node, bandwidth.node), checks.node),
      log,
    ),
  };
}

/** A part that loads by itself; the rest of the page does not wait for it, nor fail with it. */
function part(life, title, bones, read) {
  const room = h("div.part-room", null, h(`div.bones.${bones}`));
  const load = async () => {
    try {
      await read(room);
    } catch (error) {
      if (!life.aborted) fail(room, error, load);
    }
  };
  return { node: h("section.panel", null, h("h2", null, title), room), load };
}

function overviewPart(life) {
  return part(life, "Proxy", "lines", async (room) => {
    const { overview } = await get("/api/overview", {}, { signal: life });
    const disk = overview.disk ?? {};
    fill(
      room,
      facts([
        ["Version", overview.version],
        ["Running since", overview["started-at"] && time(overview["started-at"])],
        ["Cloud", overview.cloud === "fake" ? "played by the proxy itself" : overview.cloud],
        ["Installed", many(overview.installed, "image")],
        ["Failed", overview.failed > 0 && many(overview.failed, "image")],
        [
          "Compared with the cloud",
          overview["next-comparison-at"] && ["next ", time(overview["next-comparison-at"])],
        ],
      ]),
      disk["total-bytes"] > 0 && diskView(disk),
    );
  });
}

function diskView(disk) {
  const used = disk["total-bytes"] - disk["free-bytes"];
  const share = used / disk["total-bytes"];
  return h(
    "div.disk",
    null,
    h("h3", null, "Disk"),
    h(
      "meter",
      {
        min: 0,
        max: disk["total-bytes"],
        value: used,
        low: disk["total-bytes"] * 0.85,
        high: disk["total-bytes"] * 0.95,
        optimum: 0,
        "aria-label": "Disk use",
      },
      `${Math.round(share * 100)} %`,
    ),
    h("p", null, `${bytes(disk["free-bytes"])} free of ${bytes(disk["total-bytes"])}`),
    facts([
      ["Directory", h("span.address", null, disk.path)],
      ["Downloads", bytes(disk["downloads-bytes"])],
      [
        "Cache",
        disk["cache-limit-bytes"] > 0
          ? `${bytes(disk["cache-bytes"])} of at most ${bytes(disk["cache-limit-bytes"])}`
          : "off",
      ],
      ["Database", bytes(disk["database-bytes"])],
    ]),
  );
}

function checksPart(life) {
  const made = part(life, "Checks", "lines", async (room) => {
    // "Not ready" comes with 503, and says as much as "ready" does.
    const found = await get("/readyz", {}, { signal: life, statuses: [503] });
    fill(
      room,
      h(
        "ul.checks",
        null,
        (found.findings ?? []).map((one) =>
          h(
            "li",
            { "data-ok": String(one.ok) },
            icon(one.ok ? "check" : "warn"),
            h(
              "div",
              null,
              h("strong", null, one.what),
              h("span.away", null, one.ok ? ": well. " : ": a problem. "),
              (one.problem || one.note) && h("p", null, one.problem || one.note),
            ),
          ),
        ),
      ),
      h(
        "p.buttons",
        null,
        button("Check again", () => made.load()),
        compareButton(room),
      ),
    );
  });
  return made;
}

function compareButton(room) {
  const made = button("Compare with the cloud", async () => {
    if (made.hasAttribute("aria-disabled")) return;
    made.setAttribute("aria-disabled", "true");
    room.querySelector(".compared")?.remove();
    const said = h("div.compared", { role: "status" });
    room.append(said);
    try {
      const { reconciliation: found } = await post("/api/reconcile");
      const words = [`${many(found.checked, "installed image")} looked for.`];
      if (found.gone.length) words.push(`${many(found.gone.length, "image")} gone from the cloud.`);
      if (found.back.length) words.push(`${many(found.back.length, "image")} there again.`);
      if (!found.gone.length && !found.back.length && !found.problem)
        words.push("All is as it was.");
      if (found.strangers.length)
        words.push(`Buckets that no record knows: ${found.strangers.join(", ")}.`);
      if (found.problem) words.push(found.problem);
      fill(said, h("p.notice", null, words.join(" ")));
    } catch (error) {
      fill(said, failure(error));
    } finally {
      made.removeAttribute("aria-disabled");
    }
  });
  return made;
}

function bandwidthPart(life) {
  return part(life, "Bandwidth", "line", async (room) => {
    const told = await get("/api/bandwidth", {}, { signal: life });
    const limit = h("input", {
      type: "number",
      min: 0,
      max: 100000,
      step: "any",
      id: "limit",
      value: told["limit-mb-per-s"],
      "aria-describedby": "limit-help",
    });
    const said = h("div");
    const change = async (event) => {
      event.preventDefault();
      try {
        const now = await post("/api/bandwidth", { "limit-mb-per-s": limit.value || "0" });
        limit.value = now["limit-mb-per-s"];
        fill(said);
        say(
          now["limit-mb-per-s"]
            ? `Downloads are limited to ${now["limit-mb-per-s"]} MB/s.`
            : "Downloads are not limited.",
        );
      } catch (error) {
        fill(said, failure(error));
      }
    };
    fill(
      room,
      h(
        "form",
        { onsubmit: change, novalidate: true },
        h("label", { for: "limit" }, "Limit of all downloads together, MB/s"),
        h("div.inline", null, limit, h("button", { type: "submit" }, "Set")),
        h(
          "p.help",
          { id: "limit-help" },
          "0 for none. It holds until the proxy starts again or reads its configuration.",
        ),
        said,
      ),
    );
  });
}
