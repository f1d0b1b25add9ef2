"""What a page costs on the wire, as the browser itself counts it."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Page


class Wire:
    """Counts the bytes that come from now on, headers included, by path.

    Attributes:
        sizes: of answers that are complete; what came from the browser's own cache counts 0.
        answers: how many there were, by path.
    """

    def __init__(self, page: Page) -> None:
        self.sizes: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self._paths: dict[str, str] = {}
        session = page.context.new_cdp_session(page)
        session.on("Network.requestWillBeSent", self._asked)
        session.on("Network.loadingFinished", self._complete)
        session.send("Network.enable")

    def _asked(self, event: dict[str, Any]) -> None:
        self._paths[event["requestId"]] = urlsplit(event["request"]["url"]).path

    def _complete(self, event: dict[str, Any]) -> None:
        path = self._paths.get(event["requestId"])
        if path is None:  # asked for before anybody watched
            return
        self.sizes[path] += int(event["encodedDataLength"])
        self.answers[path] += 1
