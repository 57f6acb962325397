"""Every metric of the list is written by somebody, and nobody writes one that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from obflow.metric_list import COUNTERS, GAUGES, HISTOGRAMS, LIBRARY

ROOT = Path(__file__).parents[2]
PACKAGES = ("orderbook", "obflow", "producers", "processors", "sinks", "research", "embedded")
HOME = ROOT / "obflow" / "metric_list.py"
DECLARED = {**COUNTERS, **GAUGES, **HISTOGRAMS}
NAME = re.compile(r'"(obflow_[a-z_]+)"')
CODE = {
    path: path.read_text("utf-8") for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py")) if path != HOME
}
WRITTEN = {name for text in CODE.values() for name in NAME.findall(text)}
FOLDERS = {
    "producer": "producers",
    "processor": "processors",
    "regimes": "processors",
    "signals": "processors",
    "anomalies": "processors",
    "levels": "processors",
    "staleness": "processors",
    "quotes": "processors",
    "arbitrage": "processors",
    "sink": "sinks",
    "evaluate": "research",
}


@pytest.mark.parametrize("name", DECLARED)
def test_every_declared_metric_is_written_by_each_of_its_roles_or_for_them(name: str) -> None:
    writers = {path.relative_to(ROOT).parts[0] for path, text in CODE.items() if f'"{name}"' in text}
    assert writers, "nobody writes it"
    assert [role for role in DECLARED[name].roles if not {FOLDERS[role], "obflow"} & writers] == []


def test_no_metric_is_written_that_is_not_declared() -> None:
    assert WRITTEN - DECLARED.keys() == set()


def test_every_metric_says_its_unit_its_meaning_and_its_roles() -> None:
    for name, metric in {**DECLARED, **LIBRARY}.items():
        assert metric.unit, name
        assert metric.meaning.endswith("."), name
        assert metric.roles, name
        if name.endswith(("_seconds", "_bytes")):
            assert name.rsplit("_", 1)[1] == metric.unit.split(" ")[0], name
