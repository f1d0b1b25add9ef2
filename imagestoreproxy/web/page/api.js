// Asks the proxy, and turns whatever goes wrong into one plain sentence.

import { signedForm } from "/page/sign.js";

const WAIT_MS = 60_000;

/** A refusal or a failure, in the proxy's own words where it had any. */
export class ApiError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

let session = null;
let ended = () => {};

/** Say what happens when the proxy no longer knows who we are. */
export function whenEnded(act) {
  ended = act;
}

/** Give the session as far as it is known: client-id, expires-at, csrf-token; or null. */
export function currentSession() {
  return session;
}

async function ask(method, path, { body, signal, statuses = [] } = {}) {
  const headers = {};
  if (body !== undefined) {
    headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8";
  }
  if (method === "POST" && session) headers["X-CSRF-Token"] = session["csrf-token"];
  const tooLong = AbortSignal.timeout(WAIT_MS);
  let answer;
  let content;
  try {
    answer = await fetch(path, {
      method,
      headers,
      body,
      signal: signal ? AbortSignal.any([signal, tooLong]) : tooLong,
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
    });
    content = await answer.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    if (tooLong.aborted) throw new ApiError("The proxy did not answer within a minute.");
    if (answer) {
      throw new ApiError(`The proxy's answer (${answer.status}) cannot be read.`, answer.status);
    }
    throw new ApiError(
      "The proxy cannot be reached. Is it running, and does the network lead to it?",
    );
  }
  if (answer.ok || statuses.includes(answer.status)) return content;
  throw new ApiError(content["error-message"] || `The proxy said ${answer.status}.`, answer.status);
}

async function askInSession(method, path, options) {
  const mine = session;
  try {
    return await ask(method, path, options);
  } catch (error) {
    // An answer that comes late must not end the session of whoever has logged in since.
    if (error.status === 401 && mine && session === mine) {
      session = null;
      ended();
    }
    throw error;
  }
}

/**
 * Read something.
 *
 * @param {object} params of the query; undefined ones are left out.
 * @param {object} options signal: ends it; statuses: answers beside 2xx that are none the worse.
 */
export function get(path, params = {}, options = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== "") query.append(name, value);
  }
  return askInSession("GET", query.size ? `${path}?${query}` : path, options);
}

/** Do something; params is an object, or a list of pairs where a name comes again. */
export async function post(path, params = {}, options = {}) {
  const whole = { ...options, body: String(new URLSearchParams(params)) };
  const token = session?.["csrf-token"];
  try {
    return await askInSession("POST", path, whole);
  } catch (error) {
    // A login in another tab has changed the cookie, and with it the token: take the new one.
    if (error.status !== 403 || !(await resume()) || session["csrf-token"] === token) throw error;
    return askInSession("POST", path, whole);
  }
}

/** Do what a state offers. Its address names the proxy as some client knows it: only the path counts. */
export function act(uri, params) {
  return post(new URL(uri, location.origin).pathname, params);
}

/** Give the part of an address that stands for an image: unpadded base64url of its URI. */
export function imageId(uri) {
  return btoa(uri).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** Give the address of an image in the API. */
export function imagePath(uri, below = "") {
  return `/api/images/${imageId(uri)}${below && `/${below}`}`;
}

/** Ask whether the cookie of before is still good. Gives the session, or null. */
export async function resume() {
  try {
    session = (await ask("GET", "/api/session")).session;
  } catch (error) {
    if (error.status !== 401) throw error;
    session = null;
  }
  return session;
}

/** Log in. The secret key signs this one request and is kept nowhere. */
export async function login(accessKey, secretKey) {
  const path = "/api/session";
  const body = await signedForm(accessKey, secretKey, location.host, path);
  session = null;
  session = (await ask("POST", path, { body })).session;
  return session;
}

/** Log out; where the proxy cannot be told, it is said and we stay. */
export async function logout() {
  await post("/api/session/end");
  session = null;
}
