"""What docs/monitoring/ names is there: metrics, their labels and words; and its table is right."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.test_metrics import everything

FOLDER = Path(__file__).parents[2] / "docs" / "monitoring"
# What Prometheus itself says of each target.
OF_PROMETHEUS = {"up": {"job": set[str](), "instance": set[str]()}}
# Labels whose values are all known.
CLOSED = {"outcome", "reason", "state", "stage"}


def series() -> dict[str, dict[str, set[str]]]:
    """Give the labels of each series, with their values."""
    found: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(everything()):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {"job": set(), "instance": set()})
            for name, value in sample.labels.items():
                labels.setdefault(name, set()).add(value)
    return {**found, **OF_PROMETHEUS}


def rules() -> list[dict[str, Any]]:
    content = yaml.safe_load((FOLDER / "alerts.yml").read_text())
    return [rule for group in content["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    yield from ((rule["alert"], rule["expr"]) for rule in rules())
    for panel in panels():
        yield from ((panel["title"], target["expr"]) for target in panel.get("targets", ()))


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_each_expression_names_series_labels_and_words_that_exist(
    where: str, expression: str
) -> None:
    known = series()
    named = re.findall(r"\b((?:image_store|process|python)_\w+|up)\b(?:\{([^}]*)\})?", expression)
    assert named, where
    for name, matchers in named:
        assert name in known, f"{where}: {name}"
        for label, values in re.findall(r'(\w+)\s*(?:=~|!=|!~|=)\s*"([^"]*)"', matchers):
            assert label in known[name], f"{where}: {label} of {name}"
            if label in CLOSED:
                assert set(values.split("|")) <= known[name][label], f"{where}: {values}"
    for labels in re.findall(r"\bby \(([^)]*)\)", expression):
        every = set().union(*(known[name] for name, _ in named))
        assert {label.strip() for label in labels.split(",")} <= every, where


def test_each_rule_says_what_is_wrong_and_what_to_do() -> None:
    assert len(rules()) == len({rule["alert"] for rule in rules()}) > 5
    for rule in rules():
        assert rule["alert"].startswith("ImageStore")
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "description"}
        # An annotation may name only what the rule's result has as labels.
        used = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        kept = re.match(r"\s*(?:sum|histogram_quantile)\b.*?\bby \(([^)]*)\)", rule["expr"], re.S)
        if kept:
            assert used <= {label.strip() for label in kept[1].split(",")}, rule["alert"]


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    content = json.loads((FOLDER / "dashboard.json").read_text())
    assert content["schemaVersion"] >= 36
    assert content["id"] is None
    assert content["uid"] == "image-store-proxy"
    variables = {one["name"]: one for one in content["templating"]["list"]}
    assert variables["datasource"]["query"] == "prometheus"
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        assert panel["type"] in ("row", "stat", "timeseries")
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (place["x"] + across, place["y"] + down)
            for across in range(place["w"])
            for down in range(place["h"])
        }
        assert not taken & cells, panel["title"]
        taken |= cells
        targets = panel.get("targets", [])
        assert (panel["type"] == "row") == (not targets)
        assert [one["refId"] for one in targets] == [chr(65 + at) for at in range(len(targets))]
        for target in targets:
            assert target["datasource"]["uid"] == "${datasource}"
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= variables.keys()


def table() -> list[str]:
    """Give the rows of the table of all metrics of ours."""
    rows = ["| metric | type | labels | what it tells |", "|---|---|---|---|"]
    for family in sorted(text_string_to_metric_families(everything()), key=lambda one: one.name):
        if not family.name.startswith("image_store_"):
            continue
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        told = ", ".join(f"`{label}`" for label in sorted(labels))
        rows.append(f"| `{name}` | {family.type} | {told} | {family.documentation} |")
    return rows


def test_the_table_of_metrics_is_what_the_daemon_tells() -> None:
    lines = (FOLDER / "README.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith(("| metric |", "| `image_store_"))]
    assert rows == [row for row in table() if not row.startswith("|---")]
