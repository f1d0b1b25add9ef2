"""Sends what botocore has signed, and bounds the answer: botocore itself reads without end."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from imagestoreproxy.clouds.clouderrors import TooLongError
from imagestoreproxy.clouds.credentials import is_loopback

# The list of all images of a large cloud has 10 MiB.
LIMIT_BYTES = 32 * 2**20
BLOCK_BYTES = 16 * 1024
# How Eucalyptus before 3.0 refuses, in plain text: this, the HTTP status, and mostly a reason.
FAILURE = b"Failure: "


class Answers:
    """A handler of botocore's event ``before-send``, which takes the place of its own sending.

    Args:
        service: ``s3``, ``ec2`` or ``iam``.
        url: of the service; tells which HTTP proxy of the environment counts.
        verify: as botocore's clients take it.
        limit_s: for the whole body of an answer.
    """

    def __init__(
        self,
        service: str,
        url: str,
        verify: str | bool,
        *,
        connect_s: float,
        silence_s: float,
        limit_s: float,
    ) -> None:
        # Imported here: an idle daemon does without.
        from botocore.httpsession import URLLib3Session  # noqa: PLC0415

        self._service = service
        self._limit_s = limit_s
        self._session = URLLib3Session(
            verify=verify,
            proxies=proxies_for(url),
            timeout=(connect_s, silence_s),
            # Head and body are sent apart; the second would wait 40 ms for the first to arrive.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )

    def __call__(self, request: Any, **_: Any) -> Any:
        """Send a request; give its answer, read unless it is to be streamed."""
        from botocore.awsrequest import AWSResponse  # noqa: PLC0415

        is_streamed, request.stream_output = request.stream_output, True
        answer = self._session.send(request)
        if is_streamed and answer.status_code < 300:
            return answer
        body = b"" if request.method == "HEAD" else self._body(answer)
        answer.raw.release_conn()
        if answer.status_code >= 400 and body.startswith(FAILURE):
            body = _as_xml(self._service, body.removeprefix(FAILURE))
        return AWSResponse(answer.url, answer.status_code, answer.headers, _Read(body))

    def _body(self, answer: Any) -> bytes:
        from urllib3.exceptions import HTTPError  # noqa: PLC0415
        from urllib3.exceptions import ReadTimeoutError as Silence  # noqa: PLC0415

        end_s = time.monotonic() + self._limit_s
        body = bytearray()
        try:
            for block in answer.raw.stream(BLOCK_BYTES):
                body += block
                if len(body) > LIMIT_BYTES:
                    raise TooLongError(limit_mib=LIMIT_BYTES >> 20)
                if time.monotonic() > end_s:
                    raise ReadTimeoutError(endpoint_url=answer.url)
        except Silence as error:
            raise ReadTimeoutError(endpoint_url=answer.url, error=error) from None
        except (HTTPError, OSError) as error:
            raise ConnectionClosedError(endpoint_url=answer.url, error=error) from None
        finally:
            if not answer.raw.isclosed():
                answer.raw.close()
        announced = answer.headers.get("content-length", "")
        if announced.isdigit() and len(body) < int(announced):
            raise ConnectionClosedError(endpoint_url=answer.url)
        return bytes(body)


def proxies_for(url: str) -> dict[str, str]:
    """Give the HTTP proxies of the environment that count for a URL: for this machine, none."""
    from botocore.utils import get_environ_proxies  # noqa: PLC0415

    return {} if is_loopback(url) else dict(get_environ_proxies(url))


def _as_xml(service: str, said: bytes) -> bytes:
    """Give a refusal in plain text as one in XML, which botocore reads."""
    code, _, message = said.decode("utf-8", "replace").partition("\n")
    plain = " ".join(re.sub(r"[^\x20-\x7e]", " ", message).split())
    text = f"<Error><Code>{escape(code.strip())}</Code><Message>{escape(plain)}</Message></Error>"
    if service == "ec2":
        text = f"<Response><Errors>{text}</Errors><RequestID>none</RequestID></Response>"
    return text.encode("ascii", "xmlcharrefreplace")


class _Read:
    """A body in memory, as ``AWSResponse`` wants it."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> Iterator[bytes]:
        yield self._body
