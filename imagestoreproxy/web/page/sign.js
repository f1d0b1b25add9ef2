// Signs the login as the Store tab signs each of its requests: version 2, HmacSHA256.
// The same rules, in Python and with their reasons: imagestoreproxy/model/signing.py.

const LIFETIME_S = 30;

/** Tell whether this browser can sign here: it lends its cryptography to safe addresses only. */
export function canSign() {
  return Boolean(globalThis.crypto?.subtle);
}

/** Percent-encode as is signed: all but A-Z a-z 0-9 - _ . ~ */
function encoded(text) {
  // A lone half of a surrogate pair is no character: "?", as the other side sees it.
  return encodeURIComponent(text.replace(/\p{Surrogate}/gu, "?")).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function compare(one, other) {
  // JavaScript compares text by UTF-16 code units, which is just how it is signed.
  return one < other ? -1 : one > other ? 1 : 0;
}

function nonce() {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return String((BigInt(high >>> 1) << 32n) | BigInt(low));
}

function base64(buffer) {
  return btoa(String.fromCharCode(...new Uint8Array(buffer)));
}

/** Give the text that is signed. */
export function stringToSign(method, host, path, pairs) {
  const sorted = [...pairs].sort((a, b) => compare(a[0], b[0]) || compare(a[1], b[1]));
  const canonical = sorted.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join("&");
  return [method, host.toLowerCase(), path, canonical].join("\n");
}

/**
 * Give the signed form of a POST request, ready to be sent.
 *
 * @param {string} host with its port unless that is the scheme's own, as in the Host header.
 */
export async function signedForm(accessKey, secretKey, host, path) {
  const pairs = [
    ["SignatureMethod", "HmacSHA256"],
    ["SignatureVersion", "2"],
    ["Version", "2009-10-01"],
    ["ClientId", accessKey],
    ["Expires", String(Math.floor(Date.now() / 1000) + LIFETIME_S)],
    ["Nonce", nonce()],
  ];
  const text = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", text.encode(secretKey), algorithm, false, [
    "sign",
  ]);
  const signature = await crypto.subtle.sign(
    "HMAC",
    key,
    text.encode(stringToSign("POST", host, path, pairs)),
  );
  pairs.push(["Signature", base64(signature)]);
  return pairs.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join("&");
}
