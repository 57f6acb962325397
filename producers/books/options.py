"""How streams behave, and what they count."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

from schemas.messages import Source
from schemas.units import NS_PER_SECOND


class StreamOptions(NamedTuple):
    """How streams behave.

    Attributes:
        source: Written into every record.
        routine_snapshot_ns: Received time between two snapshots of a LIVE book.
        delta_buffer: Deltas that may wait for a snapshot; the oldest give way, counted.
        stale_ns: A LIVE book without a depth update for this long is reported as stale.
        epoch_floor: Epochs start here, ms. None takes the received time, as live feeds do; a replay gives the time it
            was started at, so that a second replay of one recording fences the first.
        run: Written into every record.
        known_bps: Range about mid, bps, that is kept known: a book is fetched before it is left. 0: none is.
    """

    source: Source = Source.REPLAY
    routine_snapshot_ns: int = 60 * NS_PER_SECOND
    delta_buffer: int = 10_000
    stale_ns: int = 30 * NS_PER_SECOND
    epoch_floor: int | None = None
    run: str = ""
    known_bps: float = 0.0


@dataclass
class StreamCounters:
    """What happened to one instrument's messages.

    Attributes:
        snapshots: Snapshots of the venue that made the book LIVE, or replaced it.
        snapshots_discarded: Those that nothing bridged, or that came when none was needed.
        deltas_applied: Deltas applied to the book: published, but for those of a book whose best price is not known.
        deltas_dropped: Deltas older than the snapshot, or lost to the bound of the buffer or to a disconnect.
        duplicates: Deltas already applied and trades already published, ignored.
        gaps: Deltas that did not connect to a LIVE book.
        crossed: Deltas after which the book was crossed.
        went_beyond: Times that a best price lay beyond what was known.
        contradicted: Times that the venue's best quotes showed the book to be wrong.
        comparisons: Books fetched beside a LIVE one and compared with it.
        levels_compared, levels_wrong: Prices looked at in those, and those with another size.
        checksums_ok, checksums_bad: The venue's checksums that held, and those that showed the book to be wrong.
        deltas_refused: Deltas that waited and then asked for a finer grid than the book can follow.
        regrids: Changes to a finer grid of a LIVE book.
        trades: Trades published.
        trades_off_grid: Those that no delta of a LIVE book carries, since its grid does not hold them.
        derivatives: What was told of a derivative, published.
        resyncs_answered, resyncs_outdated: Requests answered from memory, and those older than the last snapshot.
    """

    snapshots: int = 0
    snapshots_discarded: int = 0
    deltas_applied: int = 0
    deltas_dropped: int = 0
    duplicates: int = 0
    gaps: int = 0
    crossed: int = 0
    went_beyond: int = 0
    contradicted: int = 0
    comparisons: int = 0
    levels_compared: int = 0
    levels_wrong: int = 0
    checksums_ok: int = 0
    checksums_bad: int = 0
    deltas_refused: int = 0
    regrids: int = 0
    trades: int = 0
    trades_off_grid: int = 0
    derivatives: int = 0
    resyncs_answered: int = 0
    resyncs_outdated: int = 0

    def add(self, other: StreamCounters) -> None:
        """Take over what another one has counted."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


@dataclass
class PastStreams:
    """What streams had counted that are produced no longer: the sums of a venue never fall.

    Attributes:
        counters: What happened to their messages.
        checked, wrong: The venue's best quotes that said what such a book should have said, and those that were right.
        compared, different: Those at the same id, and those of them that differed.
    """

    counters: StreamCounters
    checked: int = 0
    wrong: int = 0
    compared: int = 0
    different: int = 0
