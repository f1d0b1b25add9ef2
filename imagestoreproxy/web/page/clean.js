// What a store writes about an image, as elements: only those of a short list, and nothing else
// of what it wrote. The proxy has cleaned it already; this is the second lock on the door.

import { h } from "/page/dom.js";

// Headings of a description stand below ours, whatever the store called them.
const TAGS = {
  P: "p",
  BR: "br",
  B: "strong",
  STRONG: "strong",
  I: "em",
  EM: "em",
  U: "em",
  UL: "ul",
  OL: "ol",
  LI: "li",
  CODE: "code",
  PRE: "pre",
  H3: "h3",
  H4: "h3",
  A: "a",
};
// Their text is no text for people.
const SILENT = new Set(["SCRIPT", "STYLE", "TEMPLATE", "IFRAME", "OBJECT", "SVG", "MATH"]);
const DEEPEST = 20;

/** Give the description as a list of nodes. */
export function described(html) {
  // A document of its own: nothing in it is loaded or run.
  const parsed = new DOMParser().parseFromString(html, "text/html");
  return copied(parsed.body, 0);
}

function copied(from, depth) {
  const nodes = [];
  for (const node of from.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) nodes.push(node.data);
    else if (node.nodeType === Node.ELEMENT_NODE) nodes.push(...element(node, depth));
  }
  return nodes;
}

function element(node, depth) {
  const name = node.tagName.toUpperCase();
  if (SILENT.has(name) || depth > DEEPEST) return [];
  const inside = copied(node, depth + 1);
  const tag = TAGS[name];
  if (!tag) return inside;
  return [tag === "a" ? link(node.getAttribute("href"), inside) : h(tag, null, inside)];
}

/** Make a link out of the page; what is no http(s) address stays text. */
export function link(href, ...inside) {
  let url;
  try {
    url = new URL(href);
  } catch {
    return h("span", null, inside);
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") return h("span", null, inside);
  return h("a", { href: url.href, rel: "noopener noreferrer", target: "_blank" }, inside);
}
