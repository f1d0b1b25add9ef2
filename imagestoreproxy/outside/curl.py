"""HTTP for the inside: small answers, and downloads that resume."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from twisted.logger import Logger

from imagestoreproxy import ports
from imagestoreproxy.model.errors import Cancelled, FetchError, RangesFailedError
from imagestoreproxy.model.masking import masked
from imagestoreproxy.outside.addresses import is_local, is_local_host
from imagestoreproxy.outside.background import Patient, Reactor
from imagestoreproxy.outside.bodies import (
    Body,
    Gathered,
    Nothing,
    Poured,
    is_validator,
    unless_known,
)
from imagestoreproxy.outside.castore import ca_store
from imagestoreproxy.outside.exchange import Answer, Exchange, Limits, Request
from imagestoreproxy.outside.neterrors import UNTRUSTED, failure, network_error, status_error
from imagestoreproxy.outside.proxies import proxy_rules
from imagestoreproxy.outside.transfers import TransferThread

_REDIRECTS = (301, 302, 303, 307, 308)
_LOOK_S = 5.0
_LONGEST_URL = 4000

_log = Logger()


class CurlFetcher:
    """``ports.Fetcher`` by libcurl, in one transfer thread. To be called in the reactor's thread.

    Args:
        reactor: where results are delivered.
        limits: bounds of every exchange.
        http_proxy: URL, above the environment's; empty for the environment's.
        ca_bundle: file or directory of trusted certificates; empty for the system's.
        environment: where ``http_proxy``, ``https_proxy`` and ``no_proxy`` are looked for.
        thread: of another fetcher, which closes it; None for one of its own.

    Raises:
        SettingsError: the HTTP proxy or the CA bundle cannot be used.
    """

    def __init__(
        self,
        reactor: Reactor,
        *,
        limits: Limits | None = None,
        http_proxy: str = "",
        ca_bundle: str = "",
        environment: Mapping[str, str] = os.environ,
        thread: TransferThread | None = None,
    ) -> None:
        self._reactor = reactor
        self._limits = limits or Limits()
        self._environment = environment
        self._rules = proxy_rules(environment, http_proxy)
        self._ca = ca_store(ca_bundle)
        self._is_owner = thread is None
        self._thread = thread or TransferThread()

    def sibling(self, *, http_proxy: str = "", ca_bundle: str = "") -> CurlFetcher:
        """Give a fetcher with another HTTP proxy and CA bundle, in the same transfer thread.

        Raises:
            SettingsError: the HTTP proxy or the CA bundle cannot be used.
        """
        return CurlFetcher(
            self._reactor,
            limits=self._limits,
            http_proxy=http_proxy,
            ca_bundle=ca_bundle,
            environment=self._environment,
            thread=self._thread,
        )

    def close(self) -> None:
        """End all transfers, those of siblings too, with ``Cancelled``; a sibling ends nothing."""
        if self._is_owner:
            self._thread.close()

    @property
    def limit_bytes_per_s(self) -> int:
        """See ``ports.Bandwidth``; one for all siblings, and small answers do not count."""
        return self._thread.limit_bytes_per_s

    @limit_bytes_per_s.setter
    def limit_bytes_per_s(self, limit: int) -> None:
        self._thread.limit_bytes_per_s = limit

    @property
    def downloaded_bytes(self) -> int:
        """Of all siblings since the start; small answers do not count."""
        return self._thread.taken_bytes

    def proxy_for(self, url: str) -> str:
        """Give the HTTP proxy that ``url`` goes through, fit to be shown, or empty."""
        return masked(self._rules.proxy_for(url))

    async def get(
        self, url: str, *, limit_bytes: int, allow_local: bool, known: str = ""
    ) -> ports.Fetched:
        """Fetch a small body; see ``ports.Fetcher``."""
        ends_s = self._reactor.seconds() + self._limits.get_within_s(limit_bytes)
        body = Gathered(limit_bytes)
        headers = unless_known(known)
        request = Request(url, "", allow_local, self._ca, headers, take_gzip=True)

        def within(one: Request) -> Request:
            body.content.clear()
            return replace(one, total_s=max(0.1, ends_s - self._reactor.seconds()))

        final, answer = await self._follow(request, lambda: body, within)
        is_unchanged = answer.status == 304 and bool(headers)
        if answer.status != 200 and not is_unchanged:
            raise status_error(final, answer)
        local = came_from_local(final, answer)
        content = b"" if is_unchanged else bytes(body.content)
        return ports.Fetched(final.url, content, answer.headers, local, is_unchanged)

    async def download(
        self,
        url: str,
        sink: ports.Sink,
        *,
        allow_local: bool,
        patience_s: float = 0.0,
        span: ports.Span = ports.WHOLE,
    ) -> None:
        """Fetch what ``sink`` lacks; see ``ports.Fetcher``."""
        request = Request(url, "", allow_local, self._ca, is_capped=True, patience_s=patience_s)
        is_named = is_validator(sink.validator)
        if span.end or (sink.position and (is_named or span.any_version)):
            last = str(span.end - 1) if span.end else ""
            ranges = [f"Range: bytes={sink.position}-{last}"]
            if is_named:
                ranges.append(f"If-Range: {sink.validator}")
            partly = replace(request, headers=tuple(ranges))
            try:
                if await self._pour(partly, sink, sink.position, span):
                    return
            except RangesFailedError as error:
                if span.end:
                    raise
                _log.info("No resuming: {error}", error=error.message)
        await self._pour(request, sink, 0, ports.WHOLE)

    async def _pour(
        self, request: Request, sink: ports.Sink, position: int, span: ports.Span
    ) -> bool:
        """Fetch into a sink; False if the server has nothing from ``position`` on."""
        limits = self._limits

        def body() -> Poured:
            return Poured(
                sink,
                position,
                span,
                block_bytes=limits.block_bytes,
                queued_blocks=limits.queued_blocks,
            )

        final, answer = await self._follow(request, body)
        if answer.status == 416 and position and not span.end and not span.any_version:
            return False
        if answer.status == 416 and span.end:
            raise RangesFailedError(status_error(final, answer).message)
        if answer.status not in (200, 206):
            raise status_error(final, answer)
        return True

    async def _follow(
        self,
        request: Request,
        body: Callable[[], Body],
        prepared: Callable[[Request], Request] = lambda one: one,
    ) -> tuple[Request, Answer]:
        """Ask, and follow redirects; give the last request and its answer, whatever its status."""
        for _ in range(self._limits.redirects + 1):
            request = prepared(self._checked(request))
            answer = await self._exchange(request, body())
            if answer.cancelled and answer.problem is None:
                raise Cancelled
            if answer.problem is not None:
                raise _placed(answer.problem, request, answer)
            if answer.code:
                certificate = await self._look(request, answer)
                raise network_error(request, answer, self._limits, certificate)
            if answer.status not in _REDIRECTS or not answer.redirect_url:
                return request, answer
            _log.debug(
                "{url} redirects to {target}",
                url=masked(request.url),
                target=masked(answer.redirect_url),
            )
            # Who may be local may send to a local address; who lives on the public net may not.
            allow_local = request.allow_local and came_from_local(request, answer)
            request = replace(request, url=answer.redirect_url, allow_local=allow_local)
        raise failure(
            request,
            f"more than {self._limits.redirects} redirects follow one another; the store's "
            "addresses run in a circle",
            address=answer.address,
            retry_helps=False,
        )

    def _checked(self, request: Request) -> Request:
        """Refuse a URL that must not be asked for; add its HTTP proxy."""
        url = request.url
        if not url.isascii() or not url.isprintable() or " " in url or len(url) > _LONGEST_URL:
            cause = "a URL consists of at most 4000 printable ASCII characters without spaces"
            raise failure(request, cause, retry_helps=False)
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError as error:
            raise failure(request, f"it is no proper URL ({error})", retry_helps=False) from error
        if parts.scheme.lower() not in ("http", "https") or not host or "\\" in url:
            raise failure(request, "only http:// and https:// are taken", retry_helps=False)
        if "%" in host and ":" not in host:
            # libcurl would decode it, and ask another host than the one that is looked at here.
            raise failure(request, "a host name holds no '%'", retry_helps=False)
        request = replace(request, proxy=self._rules.proxy_for(url))
        if not request.allow_local and is_local_host(host):
            raise failure(
                request,
                f"{host} is a local address, and a source on the public net may not send this "
                "machine to a local address",
                retry_helps=False,
            )
        return request

    def _exchange(self, request: Request, body: Body) -> Patient[Answer]:
        unwanted = False

        def cancel() -> None:
            nonlocal unwanted
            unwanted = True
            exchange.abort()

        def deliver(answer: Answer) -> None:
            if unwanted:
                done.errback(Cancelled())
            else:
                done.callback(answer)

        def settled(answer: Answer) -> None:
            self._reactor.callFromThread(deliver, answer)

        exchange = Exchange(self._thread, request, body, self._limits, settled)
        done: Patient[Answer] = Patient(cancel)
        if not exchange.start():
            done.callback(Answer(cancelled=True))
        return done

    async def _look(self, request: Request, answer: Answer) -> Answer | None:
        """Look at the certificate that was not trusted, for the message alone."""
        if answer.code not in UNTRUSTED:
            return None
        look = replace(request, only_certificate=True, headers=(), total_s=_LOOK_S)
        seen = await self._exchange(look, Nothing())
        if seen.cancelled:
            raise Cancelled
        return seen


def came_from_local(request: Request, answer: Answer) -> bool:
    """Tell whether the server that answered has a local address, as far as can be known."""
    if request.proxy:
        return is_local_host(urlsplit(request.url).hostname or "")
    return is_local(answer.address)


def _placed(problem: Exception, request: Request, answer: Answer) -> Exception:
    """Add URL, address and HTTP proxy to what a body of ours found wrong with the answer."""
    if not isinstance(problem, FetchError):
        return problem
    placed = failure(
        request, problem.message, address=answer.address, retry_helps=problem.retry_helps
    )
    if isinstance(problem, RangesFailedError):
        return RangesFailedError(placed.message)
    return placed
