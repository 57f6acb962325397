"""Every factor, status and null equals the independent brute force, on generated books and on the recordings.

`make test` compares 40 generated streams, `OBFLOW_FUZZ=all` (`make fuzz`) 100.
"""

import ast
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from orderbook.validity import Outcome
from schemas.factors import FACTOR_NAMES
from schemas.messages import Status
from tests.processors import brute_force
from tests.processors.compare import compare
from tests.processors.feed import fresh, process
from tests.processors.generated import slow_stream, stream

WHOLE = os.environ.get("OBFLOW_FUZZ") == "all"
SEEDS = range(80 if WHOLE else 32)
SLOW_SEEDS = range(20 if WHOLE else 8)
THIN_NOTIONALS = (10_000.0, 5.0, 1e7)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_generated_stream_has_the_events_of_the_brute_force(seed: int) -> None:
    compare(stream(seed), THIN_NOTIONALS[seed % 3])


@pytest.mark.parametrize("seed", SLOW_SEEDS)
def test_a_stream_of_minutes_has_the_events_of_the_brute_force(seed: int) -> None:
    compare(slow_stream(seed), THIN_NOTIONALS[seed % 3], is_wanted=lambda row: row % 3 == 0)


def test_the_generated_streams_leave_nothing_out() -> None:
    """Every status, every outcome and a value of every factor occurs, or the comparison proves less than it says."""
    statuses: Counter[Status] = Counter()
    outcomes: Counter[Outcome] = Counter()
    valued: Counter[str] = Counter()
    streams = [(seed, stream(seed)) for seed in SEEDS] + [(seed, slow_stream(seed)) for seed in SLOW_SEEDS]
    for seed, records in streams:
        result = process(records, fresh(THIN_NOTIONALS[seed % 3]))
        statuses.update(result.status)
        outcomes += result.outcomes
        for values in result.values:
            valued.update(name for name, value in zip(FACTOR_NAMES, values, strict=True) if value is not None)
    assert min(statuses[status] for status in Status) >= 30
    rare = (Outcome.CROSSED_OUT, Outcome.WENT_BEYOND)
    assert min(outcomes[outcome] for outcome in Outcome if outcome not in rare) >= 30
    assert min(outcomes[outcome] for outcome in rare) >= 3
    assert min(valued[name] for name in FACTOR_NAMES) >= 300


def test_the_brute_force_imports_the_standard_library_alone() -> None:
    tree = ast.parse(Path(brute_force.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported <= set(sys.stdlib_module_names) | {"collections.abc"}
