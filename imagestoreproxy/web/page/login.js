// The login: the two keys sign one request in the browser; the secret goes nowhere.

import { login } from "/page/api.js";
import { button, fill, h } from "/page/dom.js";
import { canSign } from "/page/sign.js";

/**
 * Give the login.
 *
 * @param {string} reason why it is asked for; empty at the first visit.
 * @param {Function} whenIn called after it went well.
 */
export function loginView(reason, whenIn) {
  return {
    title: "Log in",
    node: h(
      "div.login",
      null,
      h(
        "div.login-card",
        null,
        h("img", { src: "/page/icon.svg", alt: "", width: 48, height: 48 }),
        h("h1", null, "Image Store Proxy"),
        canSign() ? form(reason, whenIn) : cannot(),
      ),
    ),
  };
}

function form(reason, whenIn) {
  const access = h("input", {
    id: "access-key",
    name: "username",
    autocomplete: "username",
    required: true,
    autocapitalize: "none",
    spellcheck: "false",
  });
  const secret = h("input", {
    id: "secret-key",
    name: "password",
    type: "password",
    autocomplete: "current-password",
    required: true,
  });
  const said = h("div.login-said", null, reason && h("p.notice", { role: "status" }, reason));
  const go = h("button.primary.wide", { type: "submit" }, "Log in");

  async function submit(event) {
    event.preventDefault();
    if (go.hasAttribute("aria-disabled")) return;
    const wanting = [access, secret].find((input) => !input.value.trim());
    if (wanting) {
      fill(said, alert("Both keys are needed: the access key and the secret key."));
      wanting.focus();
      return;
    }
    const key = secret.value.trim();
    // Used once, below, and kept nowhere.
    secret.value = "";
    go.setAttribute("aria-disabled", "true");
    go.textContent = "Logging in ...";
    try {
      await login(access.value.trim(), key);
      whenIn();
    } catch (error) {
      fill(said, alert(error.message));
      secret.focus();
    } finally {
      go.removeAttribute("aria-disabled");
      go.textContent = "Log in";
    }
  }

  return h(
    "form",
    { onsubmit: submit, novalidate: true },
    h(
      "p.muted",
      null,
      "Log in with the keys of your cloud account: those in its ",
      h("code", null, "eucarc"),
      " as EC2_ACCESS_KEY and EC2_SECRET_KEY.",
    ),
    said,
    h("label", { for: "access-key" }, "Access key"),
    access,
    h("label", { for: "secret-key" }, "Secret key"),
    secret,
    go,
    h(
      "p.help",
      null,
      "The secret key does not leave this browser: it signs one request, ",
      "and is forgotten.",
    ),
  );
}

function alert(text) {
  return h("div.alert", { role: "alert" }, h("p", null, text));
}

function cannot() {
  const port = location.port || "52780";
  return h(
    "div",
    null,
    h(
      "div.alert",
      { role: "alert" },
      h(
        "p",
        null,
        h("strong", null, "This browser cannot log in at this address. "),
        `The login signs with your secret key inside the browser, and browsers offer the means for
        that only where nobody can listen: over https, or on the machine itself. This page came
        over plain http from ${location.hostname}.`,
      ),
    ),
    h("p", null, "Any of these helps:"),
    h(
      "ul",
      null,
      h(
        "li",
        null,
        "On the proxy's own machine, open ",
        h("code", null, `http://localhost:${port}/`),
        ".",
      ),
      h(
        "li",
        null,
        "From yours, bring it near with ",
        h("code", null, `ssh -L ${port}:localhost:${port} ${location.hostname}`),
        " and open ",
        h("code", null, `http://localhost:${port}/`),
        ".",
      ),
      h(
        "li",
        null,
        "Reach it over https: with a certificate for the proxy, or a web server with ",
        "TLS in front of it.",
      ),
    ),
    h(
      "p",
      null,
      button("Try again", () => globalThis.location.reload()),
    ),
  );
}
