// Tells those who cannot see the page what has changed, politely and not too often.

import { imageOf, introduce, titleOf } from "/page/shelf.js";
import { isGoing } from "/page/words.js";

const QUARTER = 25;

let waiting = [];

/** Say something; what comes at the same moment is said together. */
export function say(text) {
  if (!waiting.length) {
    setTimeout(() => {
      document.getElementById("announcer").textContent = waiting.join(" ");
      waiting = [];
    }, 150);
  }
  if (!waiting.includes(text)) waiting.push(text);
}

/** Give what is worth saying of a change: ends, pauses, and each quarter of the way; or "". */
export function worthSaying(state, before) {
  if (!before) return "";
  const error = state["error-message"];
  // What is taken back after a failure is told of with the error, which is then nothing new.
  if (error && !isGoing(state) && (isGoing(before) || error !== before["error-message"])) {
    return state.actions?.forget ? "is gone from the cloud" : "has failed";
  }
  // The error itself is an alert where the image is shown.
  if (error && error !== before["error-message"]) return "";
  if (isGoing(before) && state.status === "installed") return "is installed";
  if (isGoing(before) && state.status === "uninstalled") {
    return before.stage === "removing" ? "is uninstalled" : "is not installed: it was cancelled";
  }
  if (before.status === "installed" && state.status === "uninstalled") {
    return state["is-upgrade"] ? "has a newer version" : "is uninstalled";
  }
  if (!isGoing(state)) return "";
  if (state.stage === "paused") return before.stage === "paused" ? "" : "is paused";
  if (before.stage === "paused") return "goes on";
  if (!isGoing(before) && state.stage === "removing") return "is being uninstalled";
  const waits = state["queue-position"] > 0;
  if (waits) return before["queue-position"] > 0 ? "" : "waits for its turn";
  if (!isGoing(before) || before["queue-position"] > 0) return "has begun";
  const quarter = (one) => Math.floor((one["progress-percentage"] ?? 0) / QUARTER);
  return quarter(state) > quarter(before) ? `${quarter(state) * QUARTER} percent` : "";
}

/** Say what is worth it of a change of state. */
export async function announce(state, before) {
  const text = worthSaying(state, before);
  if (!text) return;
  const uri = state["image-uri"];
  if (!imageOf(uri)) await introduce(uri);
  say(`${titleOf(uri)} ${text}.`);
}
