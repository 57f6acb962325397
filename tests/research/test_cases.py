"""Recordings of known faults, as `obflow verify` reads them: readers are no stricter than the rule they quote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from obflow.settings import Settings
from research.replay import exchange_named, open_replay
from research.verify import verify

pytestmark = pytest.mark.cases


@pytest.mark.parametrize("case", ["overlapping-update", "three-element-levels", "zero-quote"])
def test_a_recording_of_a_known_fault_is_read_as_its_page_says(cases: Path, case: str) -> None:
    told = json.loads((cases / case / "case.json").read_bytes())
    found = verify(open_replay(cases / case / "input.frames.jsonl", exchange_named(told["venue"]), Settings()))

    assert found["rejected"] == {}
    for symbol, expected in told["verify"]["instruments"].items():
        book = found["instruments"][symbol]
        assert {name: book[name] for name in expected} == expected  # type: ignore[literal-required]
