"""What is remembered of signed requests is bounded, and a repeat acts only once all the same."""

from __future__ import annotations

import tracemalloc

import pytest

from imagestoreproxy.model.errors import CallerError, SignatureError
from imagestoreproxy.web.answers import Answer
from imagestoreproxy.web.entry.nonces import Nonces
from imagestoreproxy.web.site import Limits
from tests.unit.memory_store import KARMIC, MemorySite, action_path


def test_a_nonce_is_remembered_until_its_request_has_expired() -> None:
    nonces = Nonces(max_entries=10, max_bytes=100)
    seen = nonces.admit(("me", "1"), "sig", 100, 70.0)
    assert nonces.admit(("me", "1"), "sig", 100, 100.0) is seen
    with pytest.raises(SignatureError) as caught:
        nonces.admit(("me", "1"), "other", 100, 100.0)
    assert caught.value.status == 403
    assert nonces.admit(("me", "1"), "other", 130, 100.1) is not seen


def test_too_many_requests_at_a_time_are_refused_until_some_have_expired() -> None:
    nonces = Nonces(max_entries=2, max_bytes=100)
    nonces.admit(("me", "1"), "a", 100, 70.0)
    nonces.admit(("me", "2"), "b", 110, 70.0)
    with pytest.raises(CallerError) as caught:
        nonces.admit(("me", "3"), "c", 120, 70.0)
    assert caught.value.status == 429
    assert nonces.admit(("me", "1"), "a", 100, 70.0)
    assert nonces.admit(("me", "3"), "c", 120, 101.0)
    assert len(nonces) == 2


def test_bodies_are_kept_up_to_a_total_and_those_of_actions_always() -> None:
    nonces = Nonces(max_entries=10, max_bytes=10)
    entries = [nonces.admit(("me", str(n)), "s", 100 + n, 70.0) for n in range(4)]
    nonces.settle(entries[0], Answer(200, b"12345678"))
    nonces.settle(entries[1], Answer(200, b"12345678"))
    nonces.settle(entries[2], Answer(200, b"12345678", acted=True))
    assert [entry.answer is not None for entry in entries] == [True, False, True, False]
    assert nonces.kept_bytes == 16
    nonces.admit(("me", "9"), "s", 200, 150.0)
    assert nonces.kept_bytes == 0
    # One that ends after its request has expired is not kept for ever.
    nonces.settle(entries[3], Answer(200, b"1", acted=True))
    assert nonces.kept_bytes == 0


def test_a_read_that_was_not_kept_is_answered_again_and_an_action_is_not() -> None:
    site = MemorySite(limits=Limits(remembered_bytes=0))
    read = site.signed("GET", "/api/search", pairs=[("q", "k")])
    assert site.ask(read).status == site.ask(read).status == 200
    assert site.store.asked == ["k", "k"]
    action = site.signed("POST", action_path(KARMIC, "install"))
    assert site.ask(action).body == site.ask(action).body
    assert site.store.acted == [("install", KARMIC)]


def test_more_signed_requests_than_can_be_remembered_are_refused_in_json() -> None:
    site = MemorySite(limits=Limits(remembered_requests=1))
    assert site.get("/api/dashboard").status == 200
    assert site.get("/api/dashboard").status == 429
    site.clock.time_s += 31
    assert site.get("/api/dashboard").status == 200


def test_half_a_minute_of_fifteen_hundred_requests_a_second_is_remembered_in_little_memory() -> (
    None
):
    limits = Limits()
    assert limits.remembered_requests >= 60_000
    nonces = Nonces(max_entries=limits.remembered_requests, max_bytes=limits.remembered_bytes)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for n in range(60_000):
        seen = nonces.admit(
            ("K" * 40, str(n) + "9" * 200), f"{n}" + "s" * 44, 100 + n // 1500, 70.0
        )
        nonces.settle(seen, Answer(200, bytes(1000)))
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert used - nonces.kept_bytes < 60_000 * 500
    assert nonces.kept_bytes <= limits.remembered_bytes
    with pytest.raises(SignatureError):
        nonces.admit(("K" * 40, "0" + "9" * 200), "other", 130, 70.0)
    nonces.admit(("K", "1"), "s", 300, 200.0)
    assert len(nonces) == 1
    assert nonces.kept_bytes == 0
