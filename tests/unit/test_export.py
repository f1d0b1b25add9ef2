"""An export holds what was signed, or does not come to be."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from http.client import IncompleteRead
from pathlib import Path
from typing import Any, cast

import pytest

from imagestoreproxy.client.arrival import take_in
from imagestoreproxy.client.display import Lines, Silent
from imagestoreproxy.client.export import TRIES, fetched, write_archive
from imagestoreproxy.client.requests import FAILED, UNREACHABLE, ClientError, Connection
from imagestoreproxy.client.watch import AWAY_S
from imagestoreproxy.model.carrying import image_json
from tests.unit.carrying import Believer, a_document, an_image, contents, sha256
from tests.unit.memory import URI

DOCUMENT = a_document()
IMAGE = an_image(DOCUMENT)


class Proxy:
    """Gives the cache of a proxy, and answers to ``fetch`` one after the other.

    Attributes:
        breaks: after how many bytes each transfer breaks off, one after the other.
    """

    url = "http://near.example:52780"

    def __init__(self, answers: Sequence[object] = ()) -> None:
        self.files = contents(DOCUMENT)
        self.breaks: list[int] = []
        self.asked: list[tuple[str, int]] = []
        self._answers = list(answers)

    def post(self, path: str) -> dict[str, Any]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return {"fetch": answer}

    def blocks(self, path: str, position: int, size_bytes: int) -> Iterator[bytes]:
        name = path.removeprefix("/api/cache/")
        self.asked.append((name, position))
        rest = self.files[name][position:]
        if self.breaks:
            cut = self.breaks.pop(0)
            if rest[:cut]:
                yield rest[:cut]
            raise IncompleteRead(b"")
        for at in range(0, len(rest), 100):
            yield rest[at : at + 100]


def archived(proxy: Proxy) -> bytes:
    target = io.BytesIO()
    write_archive(cast(Connection, proxy), [IMAGE], target)
    return target.getvalue()


def test_the_archive_has_the_list_first_and_what_was_signed_word_for_word() -> None:
    with tarfile.open(fileobj=io.BytesIO(archived(Proxy()))) as tar:
        names = tar.getnames()
        found = {name: cast(Any, tar.extractfile(name)).read() for name in names}
    assert names[:2] == ["images.json", f"documents/{sha256(DOCUMENT.signed_text)}"]
    assert found == contents(DOCUMENT)


def test_what_is_exported_can_be_imported(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    ((image, fingerprint),) = take_in(io.BytesIO(archived(Proxy())), data_dir, Believer(DOCUMENT))
    assert (image, fingerprint) == (IMAGE, DOCUMENT.fingerprint)


def test_a_transfer_that_breaks_off_goes_on_from_there() -> None:
    proxy = Proxy()
    whole = archived(Proxy())
    proxy.breaks = [0, 2, 0, 5, 300]
    assert archived(proxy) == whole
    document = f"documents/{sha256(DOCUMENT.signed_text)}"
    assert proxy.asked[:4] == [(document, 0), (document, 0), (document, 2), (document, 2)]


def test_one_that_breaks_off_without_a_byte_again_and_again_ends_the_export() -> None:
    proxy = Proxy()
    proxy.breaks = [0] * TRIES
    with pytest.raises(ClientError, match="broke off") as caught:
        archived(proxy)
    assert caught.value.exit_status == UNREACHABLE


@pytest.mark.parametrize(
    ("folder", "change"),
    [
        ("files/", "other"),
        ("files/", "shorter"),
        ("documents/", "other"),
        ("documents/", "shorter"),
        ("documents/", "longer"),
    ],
)
def test_what_is_not_what_its_name_says_ends_the_export(folder: str, change: str) -> None:
    proxy = Proxy()
    name = next(name for name in proxy.files if name.startswith(folder))
    content = proxy.files[name]
    changed = {"other": b"?" + content[1:], "shorter": content[:-1], "longer": content + b"?"}
    proxy.files[name] = changed[change]
    with pytest.raises(ClientError, match="something else"):
        archived(proxy)


def test_a_fetch_is_followed_to_its_end() -> None:
    slept: list[float] = []
    shown = io.StringIO()
    going_on = {"status": "downloading", "stage": "downloading", "progress-percentage": 40}
    proxy = Proxy([going_on, going_on, {"status": "fetched", "image": image_json(IMAGE)}])
    connection = cast(Connection, proxy)
    assert fetched(connection, URI, Lines(shown), sleep=slept.append) == IMAGE
    assert len(slept) == 2
    assert "40 %" in shown.getvalue()


def test_a_fetch_that_fails_says_why() -> None:
    proxy = cast(Connection, Proxy([{"status": "failed", "error-message": "Nobody signed it."}]))
    with pytest.raises(ClientError, match="Nobody signed it"):
        fetched(proxy, URI, Silent())


def test_a_proxy_that_is_being_restarted_is_waited_for_but_not_for_ever() -> None:
    away = ClientError("cannot be reached", UNREACHABLE)
    done = {"status": "fetched", "image": image_json(IMAGE)}
    now_s = [0.0]

    def sleep(seconds: float) -> None:
        now_s[0] += seconds

    clock = {"sleep": sleep, "monotonic": lambda: now_s[0]}
    proxy = cast(Connection, Proxy([away, away, away, done]))
    assert fetched(proxy, URI, Silent(), **cast(Any, clock)) == IMAGE
    with pytest.raises(ClientError, match="cannot be reached"):
        fetched(cast(Connection, Proxy([away])), URI, Silent(), **cast(Any, clock))
    assert AWAY_S < now_s[0] < 2 * AWAY_S


def test_a_refusal_and_a_senseless_answer_end_it_at_once() -> None:
    refused = ClientError("No image store offers this image.", FAILED)
    for answer, said in ((refused, "offers"), ({"status": "fetched", "image": {}}, "wrongly")):
        with pytest.raises(ClientError, match=said):
            fetched(cast(Connection, Proxy([answer])), URI, Silent())
