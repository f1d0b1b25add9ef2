"""What is said of the command line's JSON, and what is made of its own words."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest

from imagestoreproxy.client.shapes import OBJECTS, SHAPES, schema
from imagestoreproxy.client.table import COMMANDS
from tools import make_config, make_man
from tools.make_man import client_page, daemon_page, schemas


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_is_a_json_schema_of_which_every_reference_leads_somewhere(name: str) -> None:
    whole = schema(name)
    assert jsonschema_rs.meta.is_valid(whole)
    text = json.dumps(whole)
    refers = {part.split('"')[0] for part in text.split("#/$defs/")[1:]}
    assert refers <= set(OBJECTS)


def test_every_command_but_serve_has_a_shape_and_every_shape_a_command() -> None:
    assert {entry.name for entry in COMMANDS if not entry.shape} == {"serve"}
    assert {entry.shape for entry in COMMANDS if entry.shape} | {"failure"} == set(SHAPES)


def test_the_published_schema_has_every_command_and_what_a_failure_says() -> None:
    whole = json.loads(schemas())
    named = {f"image-store {entry.name}" for entry in COMMANDS if entry.shape}
    assert named | {"failure"} <= set(whole["$defs"])
    checker = jsonschema_rs.validator_for({**whole, "$ref": "#/$defs/failure"})
    assert checker.is_valid({"error-message": "No."})
    assert not checker.is_valid({})


def test_a_closed_schema_refuses_what_is_not_described_and_what_is_missing() -> None:
    checker = jsonschema_rs.validator_for(schema("unfollow", closed=True))
    assert checker.is_valid({"unfollowed": "http://x/"})
    assert not checker.is_valid({"unfollowed": "http://x/", "more": 1})
    assert not checker.is_valid({})
    assert jsonschema_rs.validator_for(schema("unfollow")).is_valid({"unfollowed": "", "more": 1})


def test_the_manual_and_the_tables_are_current() -> None:
    """``make docs`` writes them anew."""
    pages = {**make_man.made(), **make_config.made()}
    stale = [path.name for path, text in pages.items() if path.read_text() != text]
    assert stale == []


def test_the_manual_has_every_command_and_option_with_a_minus_that_can_be_copied() -> None:
    page = client_page()
    for entry in COMMANDS:
        assert "\\fB{}\\fR".format(entry.name.replace("-", "\\-")) in page
        for argument in entry.arguments:
            for name in argument.names:
                assert not name.startswith("-") or name.replace("-", "\\-") in page
    assert "\\-\\-fake\\-eucalyptus" in daemon_page()
