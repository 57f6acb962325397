"""Recordings of known faults, as `obflow verify` reads them: readers are no stricter than the rule they quote."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from obflow.settings import Settings
from producers.venue_names import exchange_named
from research.replay import FactorReplay, open_replay
from research.verify import verify
from schemas.factors import FACTOR_NAMES
from schemas.messages import FactorEvent
from tests.processors.feed import ENGINE

pytestmark = pytest.mark.cases


@pytest.mark.parametrize("case", ["overlapping-update", "three-element-levels", "zero-quote"])
@pytest.mark.case("overlapping-update", "three-element-levels", "zero-quote")
def test_a_recording_of_a_known_fault_is_read_as_its_page_says(cases: Path, case: str) -> None:
    told = json.loads((cases / case / "case.json").read_bytes())
    found = verify(open_replay(cases / case / "input.frames.jsonl", exchange_named(told["venue"]), Settings()))

    assert found["rejected"] == {}
    for symbol, expected in told["verify"]["instruments"].items():
        book = found["instruments"][symbol]
        assert {name: book[name] for name in expected} == expected  # type: ignore[literal-required]


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    ">=": operator.ge,
    "notnull": lambda value, _: value is not None,
}


@pytest.mark.parametrize("case", ["window-top", "window-bands"])
@pytest.mark.case("window-top", "window-bands")
def test_no_factor_of_a_known_fault_says_what_its_page_forbids(cases: Path, case: str) -> None:
    told = json.loads((cases / case / "case.json").read_bytes())
    replay = open_replay(cases / case / "input.frames.jsonl", exchange_named(told["venue"]), Settings())
    rows = [row_of(item.event) for item in FactorReplay(replay, ENGINE)]

    assert rows
    for rule in told["rows"]:
        assert sum(meets(row, rule["where"]) for row in rows) == rule["count"]


def row_of(event: FactorEvent) -> dict[str, Any]:
    values = dict(zip(FACTOR_NAMES, event.values, strict=True))
    return {"sequence": event.sequence, "status": event.status.value, **values}


def meets(row: dict[str, Any], where: dict[str, list[Any]]) -> bool:
    """Whether a row meets every condition: a comparison and its number, or one of some words."""
    return all(
        COMPARE[how](row[name], rest[0] if rest else None) if how in COMPARE else row[name] in (how, *rest)
        for name, (how, *rest) in where.items()
    )
