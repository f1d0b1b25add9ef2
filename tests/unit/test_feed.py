"""A download as others see it while it comes in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from imagestoreproxy.install.feed import (
    BLOCK_BYTES,
    PIPE_BLOCKS,
    ClosedError,
    Feed,
    FileFeed,
    PipeFeed,
    RestartedError,
    StarvedError,
)
from imagestoreproxy.model.errors import DigestError, DiskError
from tests.unit.memory import MemoryDisk, NeverStop

CONTENT = bytes(range(256)) * 40
SIZE = len(CONTENT)


def file_feed(tmp_path: Path, counted: list[int]) -> FileFeed:
    disk = MemoryDisk(tmp_path)
    held = disk.partial("token", "image", SIZE, NeverStop())
    return FileFeed(held, partial(disk.path, "token", "image"), SIZE, counted.append)


@pytest.fixture(params=["file", "pipe"])
def feed(request: pytest.FixtureRequest, tmp_path: Path) -> Feed:
    if request.param == "file":
        return file_feed(tmp_path, [])
    return PipeFeed(SIZE, lambda _size_bytes: None)


def in_blocks(content: bytes = CONTENT) -> Iterator[bytes]:
    step = len(content) // PIPE_BLOCKS
    return (content[start : start + step] for start in range(0, len(content), step))


def fill(feed: Feed) -> None:
    feed.begin(resumed=False, validator='"1"')
    for block in in_blocks():
        feed.write(block)


def test_who_follows_gets_every_byte_once(feed: Feed) -> None:
    fill(feed)
    assert feed.start(NeverStop())[:10] == CONTENT[:10]
    assert b"".join(feed.follow(NeverStop())) == CONTENT
    assert feed.digest_hex() == hashlib.sha256(CONTENT).hexdigest()
    assert (feed.position, feed.beginning) == (SIZE, 0)


def test_p4_a_file_can_be_followed_again_and_tells_its_end(tmp_path: Path) -> None:
    counted: list[int] = []
    feed = file_feed(tmp_path, counted)
    fill(feed)
    for _ in range(2):
        assert b"".join(feed.follow(NeverStop())) == CONTENT
    assert feed.end(100) == CONTENT[-100:]
    assert counted[-1] == SIZE
    assert counted == sorted(counted)


def test_blocks_are_small_however_much_is_there(tmp_path: Path) -> None:
    disk = MemoryDisk(tmp_path)
    size = 3 * BLOCK_BYTES + 5
    disk.files["token"] = {"image": bytes(size)}
    held = disk.partial("token", "image", size, NeverStop())
    feed = FileFeed(held, partial(disk.path, "token", "image"), size, lambda _bytes: None)
    assert list(map(len, feed.follow(NeverStop()))) == [BLOCK_BYTES] * 3 + [5]


def test_a_download_that_begins_anew_is_told_to_who_follows(feed: Feed) -> None:
    feed.begin(resumed=False, validator='"1"')
    feed.write(CONTENT[:100])
    following = feed.follow(NeverStop())
    next(following)
    feed.begin(resumed=False, validator='"2"')
    assert (feed.position, feed.beginning) == (0, 1)
    with pytest.raises(RestartedError if isinstance(feed, FileFeed) else ClosedError):
        for _ in following:
            pass
    if isinstance(feed, FileFeed):
        fill(feed)
        assert b"".join(feed.follow(NeverStop())) == CONTENT
    else:
        with pytest.raises(ClosedError):
            fill(feed)


def test_a_download_that_begins_anew_before_anybody_followed_is_followed(feed: Feed) -> None:
    feed.begin(resumed=False, validator='"1"')
    feed.write(b"something else")
    fill(feed)
    assert b"".join(feed.follow(NeverStop())) == CONTENT


def test_p3_who_follows_a_slow_download_gives_its_place_to_others_that_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagestoreproxy.install.feed.STARVED_S", 0.0)
    wanted = False
    disk = MemoryDisk(tmp_path)
    held = disk.partial("token", "image", SIZE, NeverStop())
    path = partial(disk.path, "token", "image")
    feed = FileFeed(held, path, SIZE, lambda _size_bytes: None, lambda: wanted)
    feed.begin(resumed=False, validator="")
    feed.write(CONTENT[:100])
    following = feed.follow(NeverStop())
    assert next(following) == CONTENT[:100]
    wanted = True
    with pytest.raises(StarvedError):
        next(following)


def test_a_file_that_is_cut_off_under_the_reader_is_told(tmp_path: Path) -> None:
    feed = file_feed(tmp_path, [])
    fill(feed)
    following = feed.follow(NeverStop())
    (tmp_path / "empty").touch()
    feed._path = lambda: tmp_path / "empty"
    with pytest.raises(DiskError, match="was cut off"):
        next(following)


def test_a_download_that_goes_on_by_range_is_no_new_beginning(feed: Feed) -> None:
    blocks = list(in_blocks())
    feed.begin(resumed=False, validator='"1"')
    feed.write(blocks[0])
    feed.begin(resumed=True, validator='"1"')
    for block in blocks[1:]:
        feed.write(block)
    assert b"".join(feed.follow(NeverStop())) == CONTENT
    assert feed.beginning == 0


def test_closing_lets_go_of_who_follows(feed: Feed) -> None:
    feed.begin(resumed=False, validator="")
    feed.write(CONTENT[:100])
    following = feed.follow(NeverStop())
    assert next(following) == CONTENT[:100]
    feed.close()
    with pytest.raises(ClosedError):
        next(following)


def test_closing_lets_go_of_a_transfer_that_waits_for_room() -> None:
    feed = PipeFeed(SIZE, lambda _size_bytes: None)
    for _ in range(PIPE_BLOCKS):
        feed.write(b"x")
    feed.close()
    with pytest.raises(ClosedError):
        feed.write(b"x")


def test_more_than_signed_is_refused(feed: Feed) -> None:
    feed.begin(resumed=False, validator="")
    with pytest.raises(DigestError):
        feed.write(bytes(SIZE + 1))
