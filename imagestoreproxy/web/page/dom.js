// Builds elements. Text only ever goes in as text: nothing a store says can become markup.

const keys = new WeakMap();
const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element.
 *
 * @param {string} tag its name, with classes behind dots: "p.muted.small".
 * @param {object} props attributes; "on..." are listeners; null, undefined and false are left out.
 * @param {...*} children nodes, text, lists of these; null and false are left out.
 */
export function h(tag, props, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  add(element, children);
  return element;
}

function add(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) add(element, child);
    else element.append(child);
  }
}

/** Put other children into an element. */
export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

/** Set text, and touch nothing where it is the same: a reader would be told again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set an attribute, or take it away with null. */
export function setAttribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** Make a button; the longer name is for those who hear it without what stands around. */
export function button(text, onclick, { name, kind = "", icon: drawing, ...props } = {}) {
  return h(
    `button${kind ? `.${kind}` : ""}`,
    { type: "button", "aria-label": name, onclick, ...props },
    drawing && icon(drawing),
    text,
  );
}

/**
 * Make a list show just these entries, in this order. What is there by the same key stays the very
 * same node: with its focus, its open details, its selected text.
 *
 * @param {Array} entries pairs of a key and a function that makes the node.
 */
export function arrange(list, entries) {
  const old = new Map([...list.children].map((node) => [keys.get(node), node]));
  const nodes = entries.map(([key, make]) => {
    const node = old.get(key) ?? make();
    old.delete(key);
    keys.set(node, key);
    return node;
  });
  const stay = new Set(nodes);
  const focused = [...list.children].findIndex((node) => node.contains(document.activeElement));
  for (const node of [...list.children]) if (!stay.has(node)) node.remove();
  nodes.forEach((node, index) => {
    if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
  });
  if (focused < 0 || list.contains(document.activeElement)) return;
  // What had the keyboard is gone: it goes on with what stands in its place.
  const next = list.children[Math.min(focused, list.children.length - 1)];
  (next?.querySelector("a, button, summary") ?? document.getElementById("main")).focus();
}

/** A list of what is known: pairs of a term and what is said of it; empty ones are left out. */
export function facts(pairs) {
  return h(
    "dl.facts",
    null,
    pairs
      .filter(([, said]) => said !== undefined && said !== null && said !== "" && said !== false)
      .map(([term, said]) => h("div", null, h("dt", null, term), h("dd", null, said))),
  );
}

/** Grey shapes of the size of what will stand there, so that nothing jumps when it comes. */
export function skeletons(count, kind) {
  return Array.from({ length: count }, () => h(`li.bones.${kind}`, { "aria-hidden": "true" }));
}

/** What is said where there is nothing to show. */
export function emptiness(title, text, ...more) {
  return h(
    "div.empty",
    null,
    icon("box"),
    h("p.empty-title", null, title),
    h("p", null, text),
    more,
  );
}

/** A failure in plain words, with a way out where there is one. */
export function failure(error, again) {
  return h(
    "div.alert",
    { role: "alert" },
    h("p", null, error.message || String(error)),
    again && h("p", null, button("Try again", again)),
  );
}

/** Show a failure of what is tried again by itself: the same one is said, and heard, once. */
export function fail(room, error, again) {
  const shown = room.firstChild;
  if (!shown?.matches?.(".alert") || shown.firstChild.textContent !== error.message)
    fill(room, failure(error, again));
}

const PATHS = {
  search: "M10.5 17a6.5 6.5 0 1 1 0-13 6.5 6.5 0 0 1 0 13zM15.5 15.5 20 20",
  box: "M12 3.5 20 8v8.5l-8 4-8-4V8zM4.5 8.2 12 12l7.5-3.8M12 12v8",
  moon: "M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4",
  out: "M14 4H6v16h8M10.5 12H21M17.5 8.5 21 12l-3.5 3.5",
  check: "m5 12.5 4.5 4.5L19 7.5",
  warn: "M12 4 21.5 20h-19zM12 10.5v4M12 17.2v.3",
  back: "M19 12H5M11 6l-6 6 6 6",
};

/** A small drawing beside a word; says nothing itself. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
