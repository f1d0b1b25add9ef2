"""What a page must never do, noted from outside the page while it is used."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Request, WebError

# A page may be gone before it could be asked: so it tells by itself.
_TELL_VIOLATIONS = """
document.addEventListener('securitypolicyviolation', event => window.__tellViolation(
    `${event.effectiveDirective} by ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber}`
));
"""
_LAYOUT_SHIFT = """
window.__layoutShift = 0;
window.__shifted = [];
new PerformanceObserver(list => {
    for (const entry of list.getEntries()) {
        if (entry.hadRecentInput) continue;
        window.__layoutShift += entry.value;
        for (const source of entry.sources)
            window.__shifted.push(source.node?.cloneNode?.(false)?.outerHTML ?? '?');
    }
}).observe({type: 'layout-shift', buffered: true});
"""
# Whoever is not logged in is told so with this status, and Chromium logs each answer of its kind.
_ALWAYS = re.compile(r"^resource: .* status of 401 .*/api/session$")


class Watch:
    """Collects what the pages of one context do.

    Attributes:
        faults: what must not happen: errors, violations of the content security policy, alerts,
            and requests to another host than the proxy's.
        violations: those of the content security policy alone.
        requests: every request, with what it carried.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.faults: list[str] = []
        self.violations: list[str] = []
        self.requests: list[Request] = []
        self._hosts: set[str] = set()
        self._expected: list[re.Pattern[str]] = []
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("request", self._request)
        context.on("dialog", self._dialog)
        context.expose_binding("__tellViolation", self._violation)
        context.add_init_script(_TELL_VIOLATIONS)
        context.add_init_script(_LAYOUT_SHIFT)

    def allow_host(self, url: str) -> None:
        self._hosts.add(urlsplit(url).netloc)

    def expect(self, pattern: str) -> None:
        """Let pass what matches: a refusal that the test itself brings about."""
        self._expected.append(re.compile(pattern))

    def unexpected(self) -> list[str]:
        """Give the faults that no test asked for."""
        return [
            fault
            for fault in self.faults
            if not any(pattern.search(fault) for pattern in (_ALWAYS, *self._expected))
        ]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type not in {"error", "warning", "assert"}:
            return
        text = message.text
        kind = "resource" if text.startswith("Failed to load resource") else "console"
        self.faults.append(f"{kind}: {text} at {message.location.get('url', '')}")

    def _error(self, error: WebError) -> None:
        self.faults.append(f"page: {error.error}")

    def _request(self, request: Request) -> None:
        self.requests.append(request)
        parts = urlsplit(request.url)
        if (
            parts.scheme in {"http", "https", "ws", "wss", "ftp"}
            and parts.netloc not in self._hosts
        ):
            self.faults.append(f"request: {request.url} is not the proxy's")

    def _dialog(self, dialog: Dialog) -> None:
        self.faults.append(f"dialog: {dialog.type} {dialog.message}")
        dialog.dismiss()

    def _violation(self, _source: object, text: str) -> None:
        self.violations.append(text)
        self.faults.append(f"policy: {text}")


def searched(request: Request) -> str:
    """Give all that a request carries to the proxy, as one text."""
    headers = "\n".join(f"{name}: {value}" for name, value in request.all_headers().items())
    return f"{request.method} {request.url}\n{headers}\n\n{request.post_data or ''}"
