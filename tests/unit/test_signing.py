"""The signature agrees with the real client's, and with nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestoreproxy.model.signing import (
    candidate_hosts,
    candidate_paths,
    canonical,
    parameter,
    sign,
    signed_pairs,
    split_signature,
    string_to_sign,
    verifies,
)

VECTORS = Path(__file__).parents[2].parent / "shared" / "vectors" / "store-tab-signatures.json"

words = st.text(max_size=20)
pair_lists = st.lists(st.tuples(words, words), max_size=8)


def vectors() -> list[Any]:
    if not VECTORS.exists():
        return [pytest.param(None, marks=pytest.mark.skip(f"{VECTORS.name} is not here"))]
    return [pytest.param(v, id=v["name"]) for v in json.loads(VECTORS.read_text())]


@pytest.mark.parametrize("vector", vectors())
def test_string_and_signature_are_those_of_the_real_client(vector: dict[str, Any]) -> None:
    method, host, path, _ = vector["string_to_sign"].split("\n")
    ready = canonical(parameter(name, value) for name, value in vector["params"])
    assert string_to_sign(method, host, path, ready) == vector["string_to_sign"]
    assert sign(vector["secret"], vector["string_to_sign"]) == vector["signature"]


def test_names_and_values_sort_by_utf16_code_units() -> None:
    ready = canonical([parameter("～", "1"), parameter("😀", "2"), parameter("a", ":")])
    assert ready == "a=%3A&%F0%9F%98%80=2&%EF%BD%9E=1"


def test_values_of_one_name_sort_raw_not_encoded() -> None:
    ready = canonical(parameter("a", value) for value in (":", "-", " "))
    assert ready == "a=%20&a=-&a=%3A"


def test_the_last_signature_is_the_signature() -> None:
    given_ = [parameter("Signature", "own"), parameter("a", "1"), parameter("Signature", "real")]
    rest, signature = split_signature(given_)
    assert signature == "real"
    assert [p.value for p in rest] == ["own", "1"]
    assert split_signature(rest[1:]) == ([given_[1]], None)


def test_hosts_and_paths_have_the_forms_of_the_real_client() -> None:
    assert list(candidate_hosts("LocalHost:52780")) == ["localhost:52780"]
    assert list(candidate_hosts("LocalHost:80")) == ["localhost:80", "localhost"]
    assert list(candidate_hosts("h")) == ["h", "h:-1", "h:443"]
    assert list(candidate_hosts("[::1]")) == ["[::1]", "[::1]:-1", "[::1]:443"]
    assert list(candidate_hosts("[::1]:8")) == ["[::1]:8"]
    assert list(candidate_paths("/")) == ["/", ""]
    assert list(candidate_paths("/a")) == ["/a"]


@given(pair_lists, st.permutations(range(8)))
def test_the_order_on_the_wire_does_not_matter(
    pairs: list[tuple[str, str]], order: list[int]
) -> None:
    ready = [parameter(*pair) for pair in pairs]
    shuffled = [ready[i] for i in order if i < len(ready)]
    assert canonical(ready) == canonical(shuffled)


@given(pair_lists, words, words)
def test_what_was_signed_verifies_and_with_another_secret_does_not(
    pairs: list[tuple[str, str]], secret: str, other: str
) -> None:
    complete = signed_pairs(secret, "me", "POST", "h:1", "/p", pairs, now_s=5.9, nonce="7")
    assert complete[-5:-1] == [
        ("Version", "2009-10-01"),
        ("ClientId", "me"),
        ("Expires", "35"),
        ("Nonce", "7"),
    ]
    rest, signature = split_signature([parameter(*pair) for pair in complete])
    assert signature is not None
    ready = canonical(rest)
    assert verifies(secret, signature, "POST", "h:1", "/p", ready)
    assert not verifies(secret, signature, "GET", "h:1", "/p", ready)
    assert not verifies(secret, signature, "POST", "h:2", "/p", ready)
    assert not verifies(secret, signature, "POST", "h:1", "/", ready)
    # HMAC pads short keys with zero bytes.
    if other.rstrip("\0") != secret.rstrip("\0"):
        assert not verifies(other, signature, "POST", "h:1", "/p", ready)
