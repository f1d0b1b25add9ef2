// Begins here: is there a session, which view is asked for, and what the stream tells.

import { announce } from "/page/announce.js";
import { currentSession, logout, post, resume, whenEnded } from "/page/api.js";
import { closeAll } from "/page/dialog.js";
import { button, failure, fill, h, icon, setText } from "/page/dom.js";
import { keepTime } from "/page/history.js";
import { Live } from "/page/live.js";
import { loginView } from "/page/login.js";
import { parse, rememberStore, rewrite } from "/page/router.js";
import { forgetAll, noteworthy, shown, take, takeState, watchAll } from "/page/shelf.js";
import { storeView } from "/page/store.js";

const VIEWS = { store: storeView };
// Fetched when they are first asked for, or when the store stands and nothing else is to be done.
const LATER = {
  image: () => import("/page/image.js").then((module) => module.imageView),
  installed: () => import("/page/installed.js").then((module) => module.installedView),
  activity: () => import("/page/activity.js").then((module) => module.activityView),
  sources: () => import("/page/sources.js").then((module) => module.sourcesView),
  system: () => import("/page/system.js").then((module) => module.systemView),
};
const FETCH_AHEAD_MS = 2000;
const NAV = {
  store: "Store",
  installed: "Installed",
  activity: "Activity",
  sources: "Sources",
  system: "System",
};
const ENDED = "Your session has ended. Log in again.";
const LOST = "Connection to the proxy lost; trying again...";
const STATES_AT_ONCE = 1000;
const FRESH_MS = 60_000;

const main = document.getElementById("main");
const banner = document.getElementById("connection");
const theRoom = { life: new AbortController(), view: null };
// The store as it was left: coming back finds the same cards at the same height.
let kept = null;
let turn = 0;

const live = new Live({
  states: take,
  state: takeState,
  lost: () => setText(banner, LOST),
  back: (isBack) => {
    setText(banner, "");
    if (isBack) readAgain();
  },
  check: async () => {
    try {
      if (await resume()) return true;
    } catch {
      return false;
    }
    toLogin(ENDED);
    return false;
  },
});

/** After a time without news: ask how the images are that are shown, and the view for the rest. */
async function readAgain() {
  const going = noteworthy().map((state) => state["image-uri"]);
  const uris = [...new Set([...going, ...shown()])].slice(0, STATES_AT_ONCE);
  try {
    if (uris.length)
      take(
        await post(
          "/api/states",
          uris.map((uri) => ["image-uri", uri]),
        ),
      );
    if (!theRoom.view?.kept) theRoom.view?.refresh?.();
  } catch {
    // The stream says when the connection is lost again.
  }
}

function show(view) {
  theRoom.view = view;
  view.retitle = () => {
    if (theRoom.view !== view) return;
    document.title = `${view.title} · Image Store Proxy`;
    main.setAttribute("aria-label", view.title);
  };
  view.retitle();
  fill(main, view.node);
}

/** Show what the address asks for. */
async function goTo(isFirst = false) {
  if (!currentSession()) return;
  closeAll();
  if (!location.hash) rewrite("#/store");
  const route = parse(location.hash);
  const name = Object.hasOwn(LATER, route.name) ? route.name : "store";
  turn += 1;
  const mine = turn;
  if (!VIEWS[name] && !(await fetchView(name))) return;
  // Meanwhile another address may have been asked for, or the session have ended.
  if (mine !== turn || !currentSession()) return;
  leave();
  let focus = main;
  if (name === "store" && kept && kept.hash === location.hash) {
    const was = kept;
    // By "back" one comes to the image one went to; by the main navigation, to the beginning.
    if (!document.activeElement.closest(".top")) focus = was.focus;
    kept = null;
    theRoom.life = was.life;
    show(was.view);
    scrollTo(0, was.scroll);
    if (!focus.isConnected) focus = main;
    if (Date.now() - was.at > FRESH_MS) was.view.refresh();
  } else {
    if (name === "store") dropKept();
    theRoom.life = new AbortController();
    show(VIEWS[name](route, theRoom.life.signal));
    scrollTo(0, 0);
  }
  mark(name === "image" ? "store" : name, name);
  if (!isFirst) focus.focus({ preventScroll: true });
}

async function fetchView(name) {
  try {
    VIEWS[name] = await LATER[name]();
    return true;
  } catch {
    // A browser does not fetch a module again that it once could not have.
    const error = new Error("This part of the page could not be fetched from the proxy.");
    leave();
    mark(name, name);
    fill(
      main,
      failure(error, () => globalThis.location.reload()),
    );
    return false;
  }
}

/** End what is shown; the store is only put aside. */
function leave() {
  if (theRoom.view?.kept) {
    dropKept();
    kept = {
      ...theRoom,
      scroll: scrollY,
      hash: theRoom.view.hash(),
      at: Date.now(),
      focus: main.contains(document.activeElement) ? document.activeElement : main,
    };
    rememberStore(kept.hash);
  } else {
    theRoom.life.abort();
  }
  theRoom.view = null;
}

function dropKept() {
  kept?.life.abort();
  kept = null;
}

function mark(current, name) {
  for (const link of document.querySelectorAll("#nav a")) {
    const isHere = link.dataset.name === current;
    if (isHere) link.setAttribute("aria-current", name === current ? "page" : "true");
    else link.removeAttribute("aria-current");
  }
}

function toLogin(reason) {
  live.stop();
  closeAll();
  leave();
  dropKept();
  forgetAll();
  setText(banner, "");
  document.getElementById("top").hidden = true;
  show(loginView(reason, () => enter()));
  main.querySelector("input")?.focus();
}

function enter(isFirst = false) {
  drawTop();
  live.start();
  goTo(isFirst);
  setTimeout(
    () => Object.values(LATER).forEach((later) => later().catch(() => {})),
    FETCH_AHEAD_MS,
  );
}

function drawTop() {
  document.getElementById("top").hidden = false;
  fill(
    document.getElementById("nav"),
    h(
      "ul",
      null,
      Object.entries(NAV).map(([name, text]) =>
        h("li", null, h("a", { href: `#/${name}`, "data-name": name }, text)),
      ),
    ),
  );
  fill(
    document.getElementById("top-end"),
    themeButton(),
    button("Log out", leaveForGood, { kind: "quiet", icon: "out" }),
  );
}

async function leaveForGood() {
  try {
    await logout();
    toLogin("You are logged out.");
  } catch (error) {
    if (error.status !== 401) setText(banner, `Not logged out: ${error.message}`);
  }
}

function themeButton() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () =>
    (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  const made = button(
    "",
    () => {
      const theme = isDark() ? "light" : "dark";
      document.documentElement.dataset.theme = theme;
      try {
        localStorage.setItem("theme", theme);
      } catch {
        // It holds for this visit.
      }
      draw();
    },
    { kind: "round", name: "Dark theme" },
  );
  const draw = () => {
    fill(made, icon(isDark() ? "sun" : "moon"));
    made.setAttribute("aria-pressed", String(isDark()));
  };
  dark.addEventListener("change", draw);
  draw();
  return made;
}

async function begin() {
  try {
    if (await resume()) {
      enter(true);
    } else {
      toLogin("");
    }
  } catch (error) {
    fill(
      main,
      h(
        "div.login",
        null,
        h("div.login-card", null, h("h1", null, "Image Store Proxy"), failure(error, begin)),
      ),
    );
  }
}

whenEnded(() => toLogin(ENDED));
watchAll(announce);
keepTime();
addEventListener("catalogue", () => {
  if (kept) kept.at = 0;
});
addEventListener("hashchange", () => goTo());
document.getElementById("skip").addEventListener("click", (event) => {
  // "#main" is no address of a view.
  event.preventDefault();
  main.focus();
});
history.scrollRestoration = "manual";
begin();
