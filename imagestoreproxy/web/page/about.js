// What is known of an image: the store's words, and the facts beside them.

import { described, link } from "/page/clean.js";
import { facts, h, icon } from "/page/dom.js";
import { signer } from "/page/plan.js";
import { day, mebibytes } from "/page/words.js";

/** Give the store's own description, cleaned. */
export function describe(image) {
  const text = image["description-html"] ? described(image["description-html"]) : [];
  return h(
    "section",
    null,
    h("h2", null, "About"),
    image.refused && h("p.notice", null, icon("warn"), `Not for this cloud: ${image.refused}`),
    image.unsigned &&
      h("p.notice", null, icon("warn"), "Not signed: nobody vouches for its bytes."),
    text.length
      ? h("div.prose", null, text)
      : h("p.muted", null, "The store says nothing more about it."),
  );
}

/** Give the facts of an image. */
export function details(image, answer) {
  const state = answer.state ?? {};
  const provider = image.provider ?? {};
  return h(
    "section.panel",
    null,
    h("h2", null, "Details"),
    facts([
      ["Version", image.version],
      [
        "Installed version",
        state["installed-version"] !== image.version && state["installed-version"],
      ],
      ["Machine image", code(state.emi)],
      ["Kernel", code(state.eki)],
      ["Ramdisk", code(state.eri)],
      ["Architecture", image.architecture],
      ["Size", image["size-in-mb"] > 0 && mebibytes(image["size-in-mb"])],
      ["Releases", image.releases?.join(", ")],
      ["Supported until", image["support-ends"] && day(image["support-ends"])],
      [
        "Provider",
        provider.title && (provider.uri ? link(provider.uri, provider.title) : provider.title),
      ],
      ["Signed by", signer(answer["signed-by"])],
      ["Source", image.source],
      ["Login user", code(image["login-user"])],
      ["Ports", image.ports?.join(", ")],
      [
        "Tags",
        image.tags?.length > 0 &&
          h(
            "span.tags",
            null,
            image.tags.map((tag) => h("span.tag", null, tag)),
          ),
      ],
      ["Address", h("span.address", null, image.uri)],
    ]),
  );
}

function code(text) {
  return text && h("code", null, text);
}
