"""The compiled engine beside order-book code as tutorials publish it, on the recordings, in one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from processors.factors.kernel.engine import KernelEngine
from schemas.factors import FACTOR_NAMES
from schemas.messages import L2Record
from tests.benchmarks.naive import NAMES, NaiveBook, Update, updates_of
from tests.benchmarks.test_kernel import EACH, SHORT, alternate, run, told, verdict
from tests.processors.feed import THIN_NOTIONAL
from tests.processors.recorded import path_of, read_records

pytestmark = [pytest.mark.recorded, pytest.mark.slow, pytest.mark.timeout(1200)]

TIMES = 200.0
SAME = 1e-6
"""Floats that stand for prices are good to this much, relative to the value or to 1."""


@EACH
def test_the_kernel_beside_what_tutorials_publish(venue: str, recordings: Path) -> None:
    """All factors of the one, seven of the other; where the naive book has a value it is ours."""
    records = read_records(path_of(recordings, venue), venue)
    kernel = KernelEngine(THIN_NOTIONAL)
    rows, updates = kernel.rows(records), updates_of(records)

    def naive() -> None:
        book = NaiveBook()
        for update in updates[:SHORT]:
            book.factors(update)

    fast, slow = alternate(lambda: run(kernel, rows), naive)
    fast_us, slow_us = fast / len(rows) * 1e6, slow / SHORT * 1e6
    is_met = verdict(is_met=slow_us / fast_us >= TIMES)
    told(f"{venue}: kernel, every factor, {fast_us:.2f} us a record; naive code, seven factors, {slow_us:.0f} us")
    told(f"{venue}: {slow_us / fast_us:.0f} times, bar {TIMES:.0f}: {is_met}")
    assert_same(kernel, records[:SHORT], updates[:SHORT])


def assert_same(kernel: KernelEngine, records: Sequence[L2Record], updates: Sequence[Update]) -> None:
    book = NaiveBook()
    ours = kernel.step(kernel.fresh(), range(len(records)), kernel.rows(records)).events()
    compared = 0
    for event, update in zip(ours, updates, strict=True):
        for name, value in book.factors(update).items():
            expected = event.values[FACTOR_NAMES.index(name)]
            if expected is not None:
                compared += 1
                assert value == pytest.approx(expected, rel=SAME, abs=SAME), name
    assert compared > len(NAMES) * len(records) * 0.9
