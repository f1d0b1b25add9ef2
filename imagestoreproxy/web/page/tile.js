// The square before a title: a letter on a colour of its own, always the same for the same image.
// Icons of stores come from other hosts, and the page loads nothing from anywhere else.

import { h } from "/page/dom.js";

const COLOURS = 8;

/** Give the square of an image. */
export function tile(title, size = "") {
  const letter = [...title.matchAll(/[\p{L}\p{N}]/gu)][0]?.[0].toUpperCase() ?? "?";
  let sum = 0;
  for (const char of title.replace(/[\d.]+/g, "")) sum = (sum * 31 + char.codePointAt(0)) % 9973;
  return h(
    `span.tile.tile-${sum % COLOURS}${size && `.${size}`}`,
    { "aria-hidden": "true" },
    letter,
  );
}
