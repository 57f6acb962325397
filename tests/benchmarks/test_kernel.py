"""The compiled engine against the reference on the recordings: ratios within one run, absolutes beside them.

`make bench` runs it; what was measured is in docs/benchmarks.md. Rounds of both alternate, and the median of each
counts. A bar that is not met is said, and fails nothing: the machine does other work, too.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

from processors.factors.kernel.engine import KernelEngine
from processors.factors.reference.engine import ReferenceEngine
from schemas.codec import encode
from schemas.messages import L2Record
from tests.processors.compare import VENUES
from tests.processors.feed import THIN_NOTIONAL
from tests.processors.recorded import path_of, read_records

pytestmark = [pytest.mark.recorded, pytest.mark.slow, pytest.mark.timeout(1200)]

BATCH = 100
ROUNDS = 5
SHORT = 1_500
"""Records of a round of the slower of two."""
SPEEDUP = 50.0
SPEEDUP_BYTES = 12.0
LATENCY_US = 50.0
LATENCY_RECORDS = 100_000
MOST_BYTES = 2 * 1024 * 1024
EACH = pytest.mark.parametrize("venue", VENUES)


def seconds(work: Callable[[], object]) -> float:
    """CPU time of this process, without the collector."""
    gc.collect()
    gc.disable()
    start = time.process_time()
    work()
    spent = time.process_time() - start
    gc.enable()
    return spent


def alternate(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """The median rounds of two."""
    rounds = [(seconds(one), seconds(other)) for _ in range(ROUNDS)]
    return median(first for first, _ in rounds), median(second for _, second in rounds)


def run(engine: Any, rows: Sequence[Any], batch: int = BATCH) -> Any:
    state = engine.fresh()
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        engine.step(state, range(start, start + len(part)), part)
    return state


def through(engine: Any, first: L2Record, payloads: Sequence[bytes], batch: int) -> None:
    """From bytes to bytes."""
    state = engine.fresh()
    for start in range(0, len(payloads), batch):
        rows = engine.decode(payloads[start : start + batch])
        engine.step(state, range(start, start + len(rows)), rows).encoded(first, "benchlog", 0)


def told(sentence: str) -> None:
    print(sentence)  # noqa: T201


def verdict(*, is_met: bool) -> str:
    """What is said of a bar."""
    return "met" if is_met else "not met"


@EACH
def test_the_kernel_beside_the_reference(venue: str, recordings: Path) -> None:
    records = read_records(path_of(recordings, venue), venue)
    kernel, reference = KernelEngine(THIN_NOTIONAL), ReferenceEngine(THIN_NOTIONAL)
    rows = kernel.rows(records)
    run(kernel, rows)
    fast, slow = alternate(lambda: run(kernel, rows), lambda: run(reference, records[:SHORT]))
    fast_us, slow_us = fast / len(rows) * 1e6, slow / SHORT * 1e6
    is_met = verdict(is_met=slow_us / fast_us >= SPEEDUP)
    told(f"{venue}: kernel {fast_us:.2f} us a record, reference {slow_us:.0f} us")
    told(f"{venue}: {slow_us / fast_us:.0f} times, bar {SPEEDUP:.0f}: {is_met}")
    assert kernel.referred_records * 100 < kernel.compiled_records


@EACH
def test_bytes_to_bytes_in_batches_beside_record_by_record(venue: str, recordings: Path) -> None:
    """Beside it stands the codec for each record, with the same compiled factors in between."""
    records = read_records(path_of(recordings, venue), venue)
    payloads = [encode(record) for record in records]
    kernel, plain = KernelEngine(THIN_NOTIONAL), ReferenceEngine(THIN_NOTIONAL)

    def one_by_one() -> None:
        state = kernel.fresh()
        for offset, payload in enumerate(payloads[:SHORT]):
            [record] = plain.decode([payload])
            assert isinstance(record, L2Record)
            columns = kernel.step(state, [offset], kernel.rows([record]))
            encode(factor_record(records[0], columns.events()))

    through(kernel, records[0], payloads, BATCH)
    fast, slow = alternate(lambda: through(kernel, records[0], payloads, BATCH), one_by_one)
    fast_us, slow_us = fast / len(payloads) * 1e6, slow / SHORT * 1e6
    told(f"{venue}: bytes to bytes {fast_us:.2f} us a record in batches of {BATCH}, {slow_us:.0f} us one by one")
    is_met = verdict(is_met=slow_us / fast_us >= SPEEDUP_BYTES)
    told(f"{venue}: {slow_us / fast_us:.1f} times, bar {SPEEDUP_BYTES:.0f}: {is_met}; {1e6 / fast_us:,.0f} a second")


def factor_record(first: L2Record, events: list[Any]) -> Any:
    from schemas.factors import FACTOR_SET
    from schemas.messages import FactorRecord

    return FactorRecord(first.venue, first.symbol, first.source, FACTOR_SET, "benchlog", 0, events, first.run)


def test_one_update_in_factors_out(recordings: Path) -> None:
    records = read_records(path_of(recordings, VENUES[0]), VENUES[0])
    kernel, spent = KernelEngine(THIN_NOTIONAL), list[int]()
    rows = kernel.rows(records)
    wall = list[int]()
    gc.disable()
    while len(spent) < LATENCY_RECORDS:
        state = run(kernel, rows[:1])
        for offset, row in enumerate(rows[1:], start=1):
            start, began = time.thread_time_ns(), time.perf_counter_ns()
            kernel.step(state, [offset], [row])
            wall.append(time.perf_counter_ns() - began)
            spent.append(time.thread_time_ns() - start)
    gc.enable()
    p50, p99 = np.percentile(np.array(spent) / 1e3, [50, 99])
    told(f"one update: p50 {p50:.1f} us, p99 {p99:.1f} us of CPU over {len(spent):,}")
    told(f"p99 of {LATENCY_US:.0f} us: {verdict(is_met=p99 <= LATENCY_US)}")
    told(
        "by the clock, with what else the machine did: p50 {:.1f} us, p99 {:.1f} us".format(
            *np.percentile(np.array(wall) / 1e3, [50, 99])
        )
    )
    assert kernel.referred_records * 100 < kernel.compiled_records


def test_an_instrument_of_five_thousand_levels_a_side_takes_less_than_two_megabytes(recordings: Path) -> None:
    records = read_records(path_of(recordings, VENUES[0]), VENUES[0])
    kernel = KernelEngine(THIN_NOTIONAL)
    arrays = run(kernel, kernel.rows(records)).arrays
    held = (arrays.states, *arrays.bids, *arrays.asks, arrays.window, arrays.window_flows)
    told(f"an instrument: {sum(array.nbytes for array in held) / 1024:.0f} KiB")
    assert sum(array.nbytes for array in held) <= MOST_BYTES
