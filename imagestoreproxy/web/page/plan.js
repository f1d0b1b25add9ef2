// The plan of an install, shown before anything is done.

import { facts, h, icon } from "/page/dom.js";
import { bytes, day } from "/page/words.js";

const KINDS = { kernel: "a kernel", ramdisk: "a ramdisk", image: "a machine image" };

/** Give a plan as something to look at. */
export function planView(plan) {
  const fetched = plan.fetch ?? [];
  const here = fetched.filter((one) => one.cached).length;
  return h(
    "div.plan",
    null,
    plan.problem && h("div.alert", { role: "alert" }, icon("warn"), h("p", null, plan.problem)),
    facts([
      ["Version", plan["is-upgrade"] ? `${plan.version} (an upgrade)` : plan.version],
      ["To fetch", fetchText(plan, fetched.length, here)],
      ["Disk needed", diskText(plan)],
      ["Will be registered", (plan.register ?? []).map(registration)],
      ["Signed by", signer(plan["signed-by"])],
      ["Architecture", [plan.architecture, plan.virtualization].filter(Boolean).join(", ")],
      ["Published", plan["published-at"] && day(plan["published-at"])],
    ]),
    plan.steps?.length &&
      h(
        "details",
        { open: true },
        h("summary", null, "Step by step"),
        h(
          "ol.steps",
          null,
          plan.steps.map((step) => h("li", null, step)),
        ),
      ),
    fetched.length > 0 &&
      h(
        "details",
        null,
        h("summary", null, "Where it comes from"),
        h(
          "ul.steps",
          null,
          fetched.map((one) =>
            h(
              "li",
              null,
              `${one.kind}, ${bytes(one.bytes)}${one.cached ? ", here already" : ""}: `,
              h("span.address", null, one.url),
            ),
          ),
        ),
      ),
  );
}

function fetchText(plan, count, here) {
  if (!plan["fetch-bytes"]) return "Nothing: all of it is here already";
  return `${bytes(plan["fetch-bytes"])}${here ? `; ${here} of ${count} files are here already` : ""}`;
}

function diskText(plan) {
  const free = plan["free-bytes"];
  if (plan["peak-disk-bytes"] === undefined) return "";
  const text = `${bytes(plan["peak-disk-bytes"])}${free === undefined ? "" : `, ${bytes(free)} are free`}`;
  return plan["enough-room"] === false ? h("strong.bad", null, `${text}: not enough`) : text;
}

function registration(one) {
  const what = KINDS[one.kind] ?? one.kind;
  return h("div", null, one["shared-with"] ? `${what} (shared: ${one["shared-with"]})` : what);
}

/** Say who signed, by name where it is known; the fingerprint in groups, as gpg writes it. */
export function signer(signed) {
  if (!signed?.fingerprint) return "";
  const groups = signed.fingerprint.replace(/(.{4})(?=.)/g, "$1 ");
  return [signed.name && h("div", null, signed.name), h("code.fingerprint", null, groups)];
}
