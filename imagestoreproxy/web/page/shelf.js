// What is known of images and their states, and who wants to hear of changes.
// A change is told only to those who show that image: no list is drawn anew for a step of progress.

import { get, imagePath } from "/page/api.js";
import { isGoing } from "/page/words.js";

const SEEN = /[\p{L}\p{N}\p{P}\p{S}]/u;
const images = new Map();
const states = new Map();
const byImage = new Map();
const ofAll = new Set();

export const imageOf = (uri) => images.get(uri);
export const stateOf = (uri) => states.get(uri);
export const titleOf = (uri) => images.get(uri)?.title || uri;

/** Give the states of all that is going on or has failed, as far as it was told. */
export function noteworthy() {
  return [...states.values()].filter((state) => isGoing(state) || state["error-message"]);
}

/** Hear of an image's changes until the signal ends it. */
export function watch(uri, hear, signal) {
  if (!byImage.has(uri)) byImage.set(uri, new Set());
  const ears = byImage.get(uri);
  ears.add(hear);
  signal.addEventListener("abort", () => {
    ears.delete(hear);
    if (!ears.size) byImage.delete(uri);
  });
}

/** Hear of all changes, with the state before; until the signal ends it. */
export function watchAll(hear, signal) {
  ofAll.add(hear);
  signal?.addEventListener("abort", () => ofAll.delete(hear));
}

/** Remember one state, and tell who shows it. */
export function takeState(state) {
  const uri = state["image-uri"];
  const before = states.get(uri);
  if (before && JSON.stringify(before) === JSON.stringify(state)) return;
  states.set(uri, state);
  tell(uri, before);
  // A newer version is on offer: what is known of the image is of the one before.
  if (before && state["is-upgrade"] && !before["is-upgrade"]) introduce(uri, { again: true });
}

function tell(uri, before) {
  const state = states.get(uri);
  for (const hear of [...(byImage.get(uri) ?? [])]) hear(state, before);
  for (const hear of [...ofAll]) hear(state, before);
}

/** Remember what an answer holds of images and states. */
export function take(answer) {
  for (const image of [...(answer.images ?? []), answer.image].filter(Boolean)) {
    // A title that nobody can see is none, and could not be clicked.
    if (!SEEN.test(image.title)) image.title = image.uri;
    // A brief one has no description: keep the one that is here.
    images.set(image.uri, { ...images.get(image.uri), ...image });
  }
  for (const state of answer.states ?? []) takeState(state);
  if (answer.state) takeState(answer.state);
}

/** Name the images that somebody shows just now. */
export function shown() {
  return [...byImage.keys()];
}

/** Learn the titles of images that only a state was told of. */
export async function introduce(uri, { again = false } = {}) {
  if (images.has(uri) && !again) return;
  try {
    take(await get(imagePath(uri)));
    if (again) tell(uri, states.get(uri));
  } catch {
    // Its address has to do for a name.
  }
}

/** Forget everything: somebody else may log in. */
export function forgetAll() {
  images.clear();
  states.clear();
}
