"""What obflow and a peer made of the same frames: whether that is the same, and what it took."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import zip_longest
from typing import NamedTuple

from schemas.messages import Kind, L2Record
from tests.benchmarks.peers.tardis_node import Change

DIFFERENT = (
    "Not the same work: tardis-node gives floats, keeps no book, encodes nothing. obflow gives exact ticks and lots,\n"
    "checks continuity, and a checksum that is not 0, keeps the book, checks it and encodes Avro."
)
COLUMNS = ("frames of", "frames", "levels", "`orjson.loads`", "obflow", "tardis-node", "ours / theirs")


class Figures(NamedTuple):
    """Medians of rounds in turn: seconds of CPU a frame.

    Attributes:
        name: Whose frames, as `test_producer` calls them.
        frames, levels: How many updates, and the levels in them.
        orjson_s: `orjson.loads`.
        ours_s: Frame bytes to an encoded record.
        theirs_s: Frame bytes to a book change.
    """

    name: str
    frames: int
    levels: int
    orjson_s: float
    ours_s: float
    theirs_s: float

    @property
    def ratio(self) -> float:
        """Our time over theirs: below 1 obflow is ahead."""
        return self.ours_s / self.theirs_s


def sentence(one: Figures) -> str:
    """Say what one took, and who is ahead."""
    ahead = "obflow" if one.ratio < 1 else "tardis-node"
    return (
        f"{one.name}: obflow {_us(one.ours_s)}, tardis-node {_us(one.theirs_s)}, "
        f"orjson.loads {_us(one.orjson_s)}; "
        f"ours / theirs {one.ratio:.2f}, {ahead} is ahead; "
        f"{one.levels:,} levels of {one.frames:,} frames are the same"
    )


def table(figures: Sequence[Figures]) -> str:
    """The figures as a table of Markdown."""
    rows = [COLUMNS, tuple("---" for _ in COLUMNS), *(_row(one) for one in figures)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(one: Figures) -> tuple[str, ...]:
    counts = (f"{one.frames:,}", f"{one.levels:,}")
    times = (_us(time) for time in (one.orjson_s, one.ours_s, one.theirs_s))
    return one.name, *counts, *times, f"{one.ratio:.2f}"


def _us(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} us"


def change_of(record: L2Record) -> Change:
    """A record as a peer has it: each price and size is the float next to what is exact."""
    tick, lot = Decimal(record.tick_size), Decimal(record.lot_size)
    bids, asks = (
        [(float(tick * ticks), float(lot * lots)) for ticks, lots in zip(*side, strict=True)]
        for side in ((record.bid_ticks, record.bid_lots), (record.ask_ticks, record.ask_lots))
    )
    return Change(record.symbol, record.kind is Kind.SNAPSHOT, bids, asks)


def differences(ours: Sequence[Sequence[Change]], theirs: Sequence[Sequence[Change]]) -> list[str]:
    """Where two made different changes of a frame, in words; nothing where all are the same, level by level."""
    return [
        f"frame {number}: ours {mine}, theirs {other}"
        for number, (mine, other) in enumerate(zip_longest(ours, theirs))
        if mine is None or other is None or [*map(_plain, mine)] != [*map(_plain, other)]
    ]


def _plain(change: Change) -> tuple[object, ...]:
    """All of a change that two can agree on; tardis-node writes symbols in capitals, and order says nothing."""
    return change.symbol.upper(), change.is_snapshot, sorted(change.bids), sorted(change.asks)
