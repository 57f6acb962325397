"""The compiled engine beside the same work in C: every factor, every check, the same memory, the same bits.

The factors are all of `schemas.factors`; where the program lacks one, values differ and the test fails: quotes, how far
the sides are known; imbalances of 1 to 20 levels, weighted, by distance and by bands; sizes and their concentration;
depths and their slopes; order flow at the best, by level and of quotes; changes near the top; z-score, change and shift
against previous events; trades in windows, volatility, Kyle's lambda and VPIN; confidence. Pages beyond the window,
checks of overflow, tests for prices that stand twice, and the state for what comes next are part of both.

Time is that of the two calls alone, not of the engine around them, which is the same for both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import pytest
from msgspec.structs import replace

from processors.factors.kernel import steps
from processors.factors.kernel.engine import KernelEngine
from processors.factors.kernel.process import process
from schemas.messages import L2Record
from tests.benchmarks.c_kernel import Process, c_process, compiler
from tests.benchmarks.test_kernel import EACH, ROUNDS, run, told, verdict
from tests.processors.feed import THIN_NOTIONAL
from tests.processors.recorded import path_of, read_records

pytestmark = [pytest.mark.recorded, pytest.mark.slow, pytest.mark.timeout(1200)]

TIMES = 0.6
"""Records a second of the kernel over those of C."""
BATCH = 1_000
NO_COMPILER = "no `cc` here: install a C compiler to compare the kernel with C"


class Timed:
    """A process with the CPU time spent in it."""

    def __init__(self, process: Callable[..., Any]) -> None:
        self._process, self.spent_ns = process, 0

    def __call__(self, *arguments: Any) -> Any:
        start = time.process_time_ns()
        ended = self._process(*arguments)
        self.spent_ns += time.process_time_ns() - start
        return ended


@pytest.fixture(scope="module")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> Process:
    command = compiler()
    if command is None:
        pytest.skip(NO_COMPILER)
    return c_process(command, tmp_path_factory.mktemp("c"))


@EACH
def test_the_kernel_beside_the_same_work_in_c(
    venue: str, in_c: Process, recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = with_trades(read_records(path_of(recordings, venue), venue))
    assert_same_bits(records, in_c, monkeypatch)
    rounds = [[one_round(records, by, monkeypatch) for by in (process, in_c)] for _ in range(ROUNDS)]
    kernel_us, c_us = (median(column) for column in zip(*rounds, strict=True))
    told(
        f"{venue}: kernel {kernel_us:.2f} us a record, C {c_us:.2f} us, {len(records):,} records in batches of {BATCH}"
    )
    told(f"{venue}: {c_us / kernel_us:.2f} of C, bar {TIMES}: {verdict(is_met=c_us / kernel_us >= TIMES)}")


def with_trades(records: Sequence[L2Record]) -> list[L2Record]:
    """Recordings of books hold no trades: every fourth delta gets two, at its own first prices."""
    return [
        replace(record, trade_ticks=[record.bid_ticks[0], record.ask_ticks[0]], trade_lots=[-3, 5])
        if at % 4 == 1 and record.bid_ticks and record.ask_ticks
        else record
        for at, record in enumerate(records)
    ]


def one_round(records: Sequence[L2Record], by: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> float:
    """Microseconds of CPU a record."""
    engine, timed = KernelEngine(THIN_NOTIONAL), Timed(by)
    rows = engine.rows(records)
    monkeypatch.setattr(steps, "process", timed)
    run(engine, rows, BATCH)
    return timed.spent_ns / 1e3 / len(rows)


class Outcome(NamedTuple):
    """What came of all records: factors, what is said of each event, the state at the end, who took the records."""

    values: Any
    about: Any
    state: bytes
    taken: Any


def assert_same_bits(records: Sequence[L2Record], in_c: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events and the state after them: as bytes, but for what NaN it is that stands for null."""
    kernel, c = outcome(records, process, monkeypatch), outcome(records, in_c, monkeypatch)
    assert c.taken == kernel.taken, "C left other records to the reference"
    assert np.array_equal(c.about, kernel.about), "what is said of an event beside its factors differs"
    is_null = np.isnan(kernel.values)
    assert np.array_equal(is_null, np.isnan(c.values)), "other values are null"
    assert np.array_equal(c.values[~is_null].view(np.int64), kernel.values[~is_null].view(np.int64)), "values differ"
    assert c.state == kernel.state, "the state after the last record differs"


def outcome(records: Sequence[L2Record], by: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Outcome:
    monkeypatch.setattr(steps, "process", by)
    engine = KernelEngine(THIN_NOTIONAL)
    state, rows, columns = engine.fresh(), engine.rows(records), []
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        columns.append(engine.step(state, range(start, start + len(part)), part))
    values = np.concatenate([each.matrix[: len(each)] for each in columns])
    about = np.concatenate([each.about[: len(each)] for each in columns])
    return Outcome(values, about, engine.dump(state), engine.taken)
