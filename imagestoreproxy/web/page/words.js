// Numbers, times and stages in the words of people. No page is touched here.

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** 1572864 -> "1.5 MiB": the units of the plan's sentences, of the checks and of image-store. */
export function bytes(count) {
  let value = Math.max(0, Number(count) || 0);
  let unit = 0;
  while (value >= 1023.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.5 ? 0 : 1;
  return `${value.toFixed(digits).replace(/\.0$/, "")}\u00a0${UNITS[unit]}`;
}

/** The "size-in-mb" of a catalogue, which counts mebibytes. */
export const mebibytes = (count) => bytes(count * 2 ** 20);

/** 130 -> "2 min"; rough on purpose: a time left is a guess. */
export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s}\u00a0s`;
  if (s < 5400) return `${Math.round(s / 60)}\u00a0min`;
  if (s < 129600) return `${Math.round(s / 3600)}\u00a0h`;
  return `${Math.round(s / 86400)}\u00a0days`;
}

/** "2026-11-29T13:00:00Z", or Unix seconds -> a Date, or null. */
function dated(when) {
  const date = typeof when === "number" ? new Date(when * 1000) : new Date(when);
  return Number.isNaN(date.getTime()) ? null : date;
}

/** How long ago, or how soon; by this machine's clock. */
export function ago(when, now = Date.now()) {
  const date = dated(when);
  if (!date) return "";
  const s = (now - date.getTime()) / 1000;
  if (Math.abs(s) < 10) return "just now";
  return s > 0 ? `${duration(s)} ago` : `in ${duration(-s)}`;
}

/** Day and time, in the reader's own zone and manner. */
export function moment(when) {
  const date = dated(when);
  return date ? date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "";
}

/** Only the day; days without a time ("2029-05-31") belong to no zone. */
export function day(when) {
  const text = String(when);
  if (/^\d{4}-\d\d-\d\d$/.test(text)) {
    const date = new Date(`${text}T12:00:00`);
    return date.toLocaleDateString(undefined, { dateStyle: "medium" });
  }
  const date = dated(when);
  return date ? date.toLocaleDateString(undefined, { dateStyle: "medium" }) : text;
}

/** 1 -> "1 image", 2 -> "2 images". */
export function many(count, one, more = `${one}s`) {
  return `${Number(count).toLocaleString("en")} ${count === 1 ? one : more}`;
}

const STAGES = {
  waiting: "Waiting",
  checking: "Checking that all is there",
  downloading: "Downloading",
  unpacking: "Unpacking",
  uploading: "Storing in the cloud",
  bundling: "Bundling and uploading",
  registering: "Registering",
  removing: "Uninstalling",
  undoing: "Taking back what was done",
  paused: "Paused",
};

/** Say what a state's stage is. */
export function stage(state) {
  const words = STAGES[state.stage] ?? (state.status === "installing" ? "Installing" : "Working");
  const place = state["queue-position"];
  return place ? `${words}, number ${place} in the queue` : words;
}

/** Everything that is known of how far it is, the most important first. */
export function progress(state) {
  const said = [stage(state)];
  if (state.stage !== "waiting") said.push(`${state["progress-percentage"] ?? 0}\u00a0%`);
  if (state["bytes-total"] > 0) {
    said.push(`${bytes(state["bytes-done"])} of ${bytes(state["bytes-total"])}`);
  }
  if (state.stage !== "paused") {
    if (state["bytes-per-second"] > 0) said.push(`${bytes(state["bytes-per-second"])}/s`);
    if (state["eta-seconds"] > 0) said.push(`${duration(state["eta-seconds"])} left`);
  }
  return said.join(" · ");
}

/** Tell whether work goes on, or is paused. */
export function isGoing(state) {
  return state?.status === "downloading" || state?.status === "installing";
}
