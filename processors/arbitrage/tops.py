"""One instrument's quotes: the top of its maintained book, when it is worth a word."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from orderbook.validity import Outcome, TrackedBook
from processors.factors.packing import Packer, Unpacker
from processors.factors.reference.state import load_tracked, save_tracked
from schemas.errors import DecodeError, InvalidNumber
from schemas.messages import L2Record, QuoteRecord, Status
from schemas.rules import MAX_QUOTED
from schemas.units import NS_PER_MS, NS_PER_SECOND

IGNORED: Final = frozenset({Outcome.IGNORED_OLD_EPOCH, Outcome.IGNORED_NOT_LIVE})


@dataclass(slots=True)
class QuoteState:
    """One instrument: its book, and what was told of it last.

    Attributes:
        tracked: The book.
        told: Digest of the top last told; empty before the first.
        told_live: Whether that was of a LIVE book.
        told_ns: When it was told.
    """

    tracked: TrackedBook = field(default_factory=TrackedBook)
    told: str = ""
    told_live: bool = False
    told_ns: int = 0

    def to_bytes(self) -> bytes:
        """The state as a checkpoint."""
        out = Packer()
        save_tracked(out, self.tracked)
        out.text(self.told)
        out.integer(self.told_live)
        out.integer(self.told_ns)
        return out.bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> QuoteState:
        """The state a checkpoint holds. Raises DecodeError: cut or impossible."""
        fields = Unpacker(data)
        try:
            state = cls(load_tracked(fields), fields.text(), bool(fields.integer()), fields.integer())
        except (ValueError, InvalidNumber) as error:
            raise DecodeError(f"a checkpoint holds an impossible value ({error})") from error
        fields.end()
        return state


class QuotedTop(NamedTuple):
    """The top of a book: its state, and up to 20 levels a side within what is known, as ticks and lots."""

    status: Status
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]

    @property
    def digest(self) -> str:
        """What tells it from another."""
        return hashlib.blake2b(repr(self).encode(), digest_size=8).hexdigest()


def top_of(tracked: TrackedBook) -> QuotedTop:
    """The top of a book; of one that is not LIVE nothing."""
    if not tracked.is_live:
        return QuotedTop(Status.RESYNCING, [], [])
    book, known = tracked.book, tracked.known
    low, high = known.bid_limit(book), known.ask_limit(book)
    bids = [level for level in book.bids.top(MAX_QUOTED) if level[0] > 0 and (low is None or level[0] >= low)]
    asks = [level for level in book.asks.top(MAX_QUOTED) if level[0] > 0 and (high is None or level[0] <= high)]
    return QuotedTop(_status(bids, asks), bids, asks)


def _status(bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> Status:
    if not bids or not asks:
        return Status.ONE_SIDED if bids or asks else Status.EMPTY
    if bids[0][0] < asks[0][0]:
        return Status.OK
    return Status.LOCKED if bids[0][0] == asks[0][0] else Status.CROSSED


def take_record(state: QuoteState, record: L2Record, least_ms: float, heartbeat_s: float) -> QuotedTop | None:
    """Take a record to the book, and return its top where that is to be told.

    It is told where it changed, but not before some time after the last; at once where the book became LIVE or ceased
    to be; and after a longer time whatever it is, so that a reader can tell a quiet book from a dead one.
    """
    if state.tracked.apply(record) in IGNORED or not (state.told or state.tracked.is_live):
        return None
    top, since_ns = top_of(state.tracked), record.received_ns - state.told_ns
    is_live, digest = state.tracked.is_live, top.digest
    is_due = since_ns < 0 or since_ns >= least_ms * NS_PER_MS
    turned = is_live != state.told_live
    if not (turned or (is_due and digest != state.told) or since_ns >= heartbeat_s * NS_PER_SECOND):
        return None
    state.told, state.told_live, state.told_ns = digest, is_live, record.received_ns
    return top


def quote_of(record: L2Record, top: QuotedTop, canonical: str, place: tuple[str, int, int]) -> QuoteRecord:
    """Make the record of a top.

    Args:
        record: Behind which the book is so.
        top: It.
        canonical: Its canonical symbol.
        place: Log, partition and offset of the record.
    """
    return QuoteRecord(
        venue=record.venue,
        symbol=record.symbol,
        canonical=canonical,
        feed_source=record.source,
        status=top.status,
        epoch=record.epoch,
        received_ns=record.received_ns,
        decided_ns=record.received_ns,
        tick_size=record.tick_size,
        lot_size=record.lot_size,
        contract_value=record.contract_value,
        contract_kind=record.contract_kind,
        source_log=place[0],
        source_partition=place[1],
        source_offset=place[2],
        bid_ticks=[tick for tick, _ in top.bids],
        bid_lots=[lots for _, lots in top.bids],
        ask_ticks=[tick for tick, _ in top.asks],
        ask_lots=[lots for _, lots in top.asks],
        run=record.run,
    )
