"""A trial of the compiled engine on this host: a few records from bytes to bytes, held against the reference.

It compiles every function, or loads it, so that the first real record need not wait; and it finds out a host whose
exponential or logarithm differs from Python's in the last bit.
"""

from __future__ import annotations

from typing import Final

from processors.factors.kernel.engine import KernelEngine
from processors.factors.reference.engine import ReferenceEngine
from schemas.codec import encode
from schemas.messages import Kind, L2Record, Source

RECORDS: Final = 60
LEVELS: Final = 25
STEP_NS: Final = 40_000_000
START_NS: Final = 1_700_000_000_000_000_000
THIN_NOTIONAL: Final = 10_000.0


def trial() -> str:
    """Run it; say what is wrong, or nothing."""
    records = [_record(number) for number in range(RECORDS)]
    kernel, reference = KernelEngine(THIN_NOTIONAL), ReferenceEngine(THIN_NOTIONAL)
    rows = [row for row in kernel.decode([encode(record) for record in records]) if not isinstance(row, Exception)]
    state, expected = kernel.fresh(), reference.step(reference.fresh(), range(RECORDS), records)
    found = kernel.step(state, range(RECORDS), rows)
    kernel.load(kernel.dump(state))
    where = (records[0], "trialrun", 0)
    return "" if found.encoded(*where) == expected.encoded(*where) else "its factors differ from the reference's"


def _record(number: int) -> L2Record:
    """A snapshot, then deltas that change sizes and move the best prices a little."""
    is_first = number == 0
    mid, levels = 618_000 + number % 7, range(LEVELS if is_first else 1 + number % 5)
    size = 1_000 + 37 * number % 811
    return L2Record(
        venue="trial",
        symbol="TRIAL",
        source=Source.SIMULATOR,
        kind=Kind.SNAPSHOT if is_first else Kind.DELTA,
        epoch=1,
        sequence=number + 1,
        previous_sequence=None if is_first else number,
        received_ns=START_NS + number * STEP_NS,
        tick_size="0.1",
        lot_size="0.001",
        bid_ticks=[mid - 1 - 3 * level for level in levels],
        bid_lots=[size + 13 * level if (number + level) % 6 else 0 for level in levels],
        ask_ticks=[mid + 8 + 3 * level for level in levels],
        ask_lots=[size + 17 * level if (number + level) % 7 else 1 for level in levels],
        quote_flow_lots=None if is_first else 5 * number,
        quote_events=0 if is_first else 1,
    )
