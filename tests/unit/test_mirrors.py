"""Which mirror is asked when, and what stands behind one another."""

from __future__ import annotations

from pathlib import Path

from imagestoreproxy.install.addresses import HASTY_S
from imagestoreproxy.install.mirrors import LONGEST_S, MIRRORS, Mirrors
from imagestoreproxy.model.errors import DigestError, FetchError
from imagestoreproxy.ports import Sink
from tests.unit.test_download import BROKEN, CONTENT, Bench, Server, gives

A, B, C = "http://a.example/f", "http://b.example:81/f", "https://c.example/f"
FIRST, SECOND = "http://mirror.example/0", "http://mirror.example/1"


def test_who_has_failed_lately_is_asked_after_the_others_and_forgiven_in_time() -> None:
    mirrors = Mirrors()
    assert mirrors.ordered([A, B, C, A], 0.0) == [A, B, C]
    mirrors.failed(A, 0.0)
    mirrors.failed(B, 10.0)
    assert mirrors.ordered([A, B, C], 11.0) == [C, A, B]
    assert mirrors.ordered([A, B, C], 60.0) == [A, C, B]
    assert mirrors.ordered([A, B, C], 70.0) == [A, B, C]


def test_each_failure_doubles_the_time_up_to_an_hour_and_a_success_ends_it() -> None:
    mirrors, now_s = Mirrors(), 0.0
    for lasts_s in (60, 120, 240, 480, 960, 1920, 3600, 3600):
        mirrors.failed(A, now_s)
        assert mirrors.ordered([A, B], now_s + lasts_s - 1) == [B, A]
        assert mirrors.ordered([A, B], now_s + lasts_s) == [A, B]
        now_s += lasts_s
    mirrors.failed(A, now_s)
    mirrors.worked(A)
    assert mirrors.ordered([A, B], now_s) == [A, B]
    mirrors.failed(A, now_s)
    assert mirrors.ordered([A, B], now_s + 60) == [A, B]


def test_an_old_failure_does_not_count_and_one_outage_counts_once() -> None:
    mirrors = Mirrors()
    for _ in range(4):
        mirrors.failed(A, 0.0)
    assert mirrors.ordered([A, B], 60.0) == [A, B]
    mirrors.failed(A, 60.0 + LONGEST_S + 1)
    assert mirrors.ordered([A, B], 60.0 + LONGEST_S + 61) == [A, B]


def test_a_mirror_is_scheme_host_and_port_and_not_its_paths_or_users() -> None:
    mirrors = Mirrors()
    mirrors.failed("http://user:pw@A.example/other", 0.0)
    assert mirrors.ordered([A, "http://a.example:8080/f"], 1.0) == ["http://a.example:8080/f", A]


def test_the_memory_is_bounded() -> None:
    mirrors = Mirrors()
    for number in range(2 * MIRRORS):
        mirrors.failed(f"http://{number}.example/", 0.0)
    assert len(mirrors._failed) == MIRRORS


def test_p1_where_one_breaks_off_the_next_goes_on_at_once_without_naming_a_version(
    tmp_path: Path,
) -> None:
    servers = {SECOND: gives(0), FIRST: gives(10**6)}
    bench = Bench(tmp_path, servers, mirrors=2)
    servers[bench.file.url] = gives(40_000)
    assert bench.run() == [None]
    assert bench.held() == CONTENT
    assert bench.asked == [(bench.file.url, 0, 0.0), (FIRST, 40_000, 0.0)]
    (_, first, hasty_s), (validator, second, _) = bench.spans
    assert (validator, second.any_version, first.end, second.end) == ("", True, 0, 0)
    assert hasty_s == HASTY_S
    assert bench.feed.came_from == FIRST


def test_the_last_one_left_has_all_the_patience_there_is(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"any": gives(0)}, mirrors=2)
    bench.run()
    assert [patience_s for _, _, patience_s in bench.spans[:3]] == [HASTY_S, HASTY_S, 0.0]


def test_p7_when_none_works_there_are_rounds_with_pauses_and_an_end_that_names_each(
    tmp_path: Path,
) -> None:
    def server(sink: Sink) -> Exception | None:
        url, _, _ = bench.asked[-1]
        return FetchError(f"{url} is away.")

    bench = Bench(tmp_path, {"any": server}, mirrors=2)
    (error,) = bench.run()
    assert isinstance(error, FetchError)
    for url in (bench.file.url, FIRST, SECOND):
        assert error.message.count(f"{url} is away.") == 1
    assert len(bench.asked) == 5 * 3
    assert len({moment_s for _, _, moment_s in bench.asked}) == 5


def test_who_will_never_give_it_is_asked_once(tmp_path: Path) -> None:
    servers: dict[str, Server] = {FIRST: lambda _sink: FetchError("404", retry_helps=False)}
    bench = Bench(tmp_path, servers, mirrors=1)
    servers[bench.file.url] = gives(10_000)
    assert bench.run() == [None]
    assert [url for url, _, _ in bench.asked].count(FIRST) == 1
    assert bench.held() == CONTENT


def wrong(start: int, end: int, *, breaks: bool = False) -> Server:
    def server(sink: Sink) -> Exception | None:
        sink.begin(resumed=sink.position > 0, validator='"w"')
        sink.write(b"!" * (min(end, len(CONTENT)) - max(start, sink.position)))
        return BROKEN if breaks else None

    return server


def test_p7_a_mixture_that_is_wrong_is_fetched_once_more_from_one_server_alone(
    tmp_path: Path,
) -> None:
    servers = {FIRST: gives(10**6)}
    bench = Bench(tmp_path, servers, mirrors=1)
    servers[bench.file.url] = wrong(0, 40_000, breaks=True)
    assert bench.run() == [None]
    assert bench.held() == CONTENT
    assert [(url, position) for url, position, _ in bench.asked] == [
        (bench.file.url, 0),
        (FIRST, 40_000),
        (FIRST, 0),
    ]


def test_p7_after_a_wrong_mixture_nothing_is_mixed_again(tmp_path: Path) -> None:
    tries = 0

    def breaking(sink: Sink) -> Exception | None:
        nonlocal tries
        tries += 1
        if tries == 1:
            return wrong(0, 40_000, breaks=True)(sink)
        return gives(30_000)(sink)

    def once_wrong(sink: Sink) -> Exception | None:
        if sink.position:
            return wrong(0, 10**6)(sink)
        return gives(1000)(sink)

    servers: dict[str, Server] = {FIRST: once_wrong}
    bench = Bench(tmp_path, servers, mirrors=1)
    servers[bench.file.url] = breaking
    assert bench.run() == [None]
    assert bench.held() == CONTENT
    alone = [(url, position) for url, position, _ in bench.asked[2:]]
    assert (FIRST, 0) in alone
    assert [position for url, position in alone if url == bench.file.url] == [
        0,
        30_000,
        60_000,
        90_000,
    ]


def test_p7_two_servers_that_are_wrong_alone_are_enough(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"any": wrong(0, 10**6)}, mirrors=5)
    (error,) = bench.run()
    assert isinstance(error, DigestError)
    assert [url for url, _, _ in bench.asked] == [bench.file.url, FIRST]
    assert bench.file.url in error.message
    assert FIRST in error.message


def test_what_an_earlier_process_left_goes_on_from_any_of_several(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"any": gives(10**6)}, mirrors=1)
    bench.feed.begin(resumed=False, validator='"old"')
    bench.feed.write(CONTENT[:500])
    again = Bench(tmp_path, {"any": gives(10**6)}, mirrors=1)
    again.disk.files = bench.disk.files
    again.feed._partial = bench.feed._partial
    assert again.run() == [None]
    validator, span, _ = again.spans[0]
    assert (validator, span.any_version) == ("", True)
    assert again.asked[0][1] == 500
