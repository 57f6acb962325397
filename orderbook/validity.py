"""When a book may be believed: AWAITING_SNAPSHOT, then LIVE, then INVALID(reason), then LIVE again.

One rule for every venue: a delta is valid if and only if its epoch is the book's and its `previous_sequence` equals
the book's `sequence`. Sequences are never compared by order. Producers and processors keep their books with this code.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from orderbook.book import Book
from orderbook.grid import Grid
from orderbook.known import WHOLE, Known, compare_books, farther_ask, farther_bid
from schemas.messages import Kind, L2Record, Reason
from schemas.units import NS_PER_SECOND

CROSSED_RECORDS: Final = 3
"""A book still crossed this many applied deltas after the record that crossed it is INVALID."""
CROSSED_NS: Final = NS_PER_SECOND
"""Or this long after it, by `received_ns`."""


class Validity(StrEnum):
    """What is known of a book."""

    AWAITING_SNAPSHOT = "awaiting_snapshot"
    LIVE = "live"
    INVALID = "invalid"


class Outcome(StrEnum):
    """What one record did to a book."""

    APPLIED = "applied"
    """A delta, applied."""
    CROSSED_OUT = "crossed_out"
    """A delta, applied; the book was crossed for too long and is now INVALID(crossed)."""
    WENT_BEYOND = "went_beyond"
    """A delta, applied; a best price lies beyond what is known, and the book is now INVALID(beyond_snapshot)."""
    MADE_LIVE = "made_live"
    """A snapshot replaced the book and made it LIVE."""
    ROUTINE = "routine"
    """A snapshot of the LIVE book's own sequence that says what the book says where both are known. What it knows
    beyond that is taken over."""
    INVALIDATED = "invalidated"
    """A published `invalid`."""
    BROKE = "broke"
    """The record showed that the LIVE book is wrong: it is now INVALID."""
    IGNORED_OLD_EPOCH = "ignored_old_epoch"
    """Of a fenced-off producer."""
    IGNORED_NOT_LIVE = "ignored_not_live"
    """A delta, but there is no book to apply it to."""


CONNECTS: Final = frozenset({Outcome.APPLIED, Outcome.ROUTINE})
"""What a record does to a book that lacks nothing before it. Any other outcome may be owed to what is lacking."""

_APPLIED: Final = Outcome.APPLIED  # looked up once: said after each delta


class Age(StrEnum):
    """A record's epoch against the book's."""

    OLDER = "older"
    SAME = "same"
    NEWER = "newer"


class Rule(NamedTuple):
    """What a record does where it connects to the book, and where it does not."""

    connects: Outcome
    otherwise: Outcome


def _always(outcome: Outcome) -> Rule:
    return Rule(outcome, outcome)


# A delta connects where its previous_sequence is the book's sequence, a snapshot where its sequence is; both need the
# book's grid. The third column: is the book LIVE?
RULES: Final[dict[tuple[Kind, Age, bool], Rule]] = {
    (Kind.DELTA, Age.OLDER, True): _always(Outcome.IGNORED_OLD_EPOCH),
    (Kind.DELTA, Age.OLDER, False): _always(Outcome.IGNORED_OLD_EPOCH),
    (Kind.DELTA, Age.SAME, True): Rule(Outcome.APPLIED, otherwise=Outcome.BROKE),
    (Kind.DELTA, Age.SAME, False): _always(Outcome.IGNORED_NOT_LIVE),
    (Kind.DELTA, Age.NEWER, True): _always(Outcome.BROKE),
    (Kind.DELTA, Age.NEWER, False): _always(Outcome.IGNORED_NOT_LIVE),
    (Kind.SNAPSHOT, Age.OLDER, True): _always(Outcome.IGNORED_OLD_EPOCH),
    (Kind.SNAPSHOT, Age.OLDER, False): _always(Outcome.IGNORED_OLD_EPOCH),
    (Kind.SNAPSHOT, Age.SAME, True): Rule(Outcome.ROUTINE, otherwise=Outcome.BROKE),
    (Kind.SNAPSHOT, Age.SAME, False): _always(Outcome.MADE_LIVE),
    (Kind.SNAPSHOT, Age.NEWER, True): _always(Outcome.MADE_LIVE),
    (Kind.SNAPSHOT, Age.NEWER, False): _always(Outcome.MADE_LIVE),
    (Kind.INVALID, Age.OLDER, True): _always(Outcome.IGNORED_OLD_EPOCH),
    (Kind.INVALID, Age.OLDER, False): _always(Outcome.IGNORED_OLD_EPOCH),
    (Kind.INVALID, Age.SAME, True): _always(Outcome.INVALIDATED),
    (Kind.INVALID, Age.SAME, False): _always(Outcome.INVALIDATED),
    (Kind.INVALID, Age.NEWER, True): _always(Outcome.INVALIDATED),
    (Kind.INVALID, Age.NEWER, False): _always(Outcome.INVALIDATED),
}


class TrackedBook:
    """A book and what is known of it.

    Attributes:
        book: The levels. On a book that is not LIVE they are the last ones known, for people, not for factors.
        validity: AWAITING_SNAPSHOT, LIVE or INVALID.
        reason: Why it is INVALID, else None.
        epoch: The newest epoch obeyed; 0 before the first.
        sequence: Sequence of the last record that set the levels; 0 before the first.
        known: How far the levels are known; nothing is missing on a LIVE book up to there.
        grid: The grid of the last snapshot taken; None before the first.
        crossed_since_ns: `received_ns` of the record that crossed the book; None where it is not crossed.
        crossed_records: Deltas applied since, the book still crossed.
    """

    __slots__ = (
        "book",
        "crossed_records",
        "crossed_since_ns",
        "epoch",
        "grid",
        "known",
        "reason",
        "sequence",
        "validity",
    )

    def __init__(self, max_levels: int | None = None, book: Book | None = None) -> None:
        self.book = Book(max_levels) if book is None else book
        self.validity = Validity.AWAITING_SNAPSHOT
        self.reason: Reason | None = None
        self.epoch = 0
        self.sequence = 0
        self.grid: Grid | None = None
        self.known = WHOLE
        self.crossed_since_ns: int | None = None
        self.crossed_records = 0

    @property
    def is_live(self) -> bool:
        """True where the levels may be believed."""
        return self.validity is Validity.LIVE

    def judge(self, record: L2Record) -> Outcome:
        """What the record's header says it will do. Changes nothing and does not look at the levels.

        `apply` can still find APPLIED to be CROSSED_OUT or WENT_BEYOND, and ROUTINE to be BROKE.
        """
        age = Age.SAME if record.epoch == self.epoch else Age.OLDER if record.epoch < self.epoch else Age.NEWER
        rule = RULES[record.kind, age, self.is_live]
        return rule.connects if self._connects(record) else rule.otherwise

    def apply(self, record: L2Record) -> Outcome:
        """Let one record do to the book what it may, and say what that was.

        Raises:
            InvalidNumber: the grid of a snapshot is not made of plain decimals. The book is unchanged.
        """
        outcome = self.judge(record)
        if outcome is Outcome.APPLIED:
            return self._apply_delta(record)
        if outcome is Outcome.MADE_LIVE:
            self._take(record)
        elif outcome is Outcome.ROUTINE:
            return self._compare(record)
        elif outcome is Outcome.BROKE:
            self._invalidate(self._break_reason(record), record.epoch)
        elif outcome is Outcome.INVALIDATED:
            self._invalidate(record.reason, record.epoch)
        return outcome

    def follow(self, record: L2Record) -> bool:
        """Keep the levels of a book that is INVALID only because its best prices are not known.

        Within what is known nothing goes missing while the chain of updates holds, so such a book can be believed again
        once its best prices are back.

        Args:
            record: A delta that connects to the book.

        Returns:
            Whether they are. The book stays INVALID until a snapshot says so to every reader.
        """
        self.book.update(record.bid_ticks, record.bid_lots, record.ask_ticks, record.ask_lots)
        self.sequence = record.sequence
        return self.known.holds_best(self.book)

    def note_applied(self, sequence: int, received_ns: int) -> Outcome:
        """Take note of a delta of the LIVE book's own epoch whose levels are in the book, and say what that was."""
        self.sequence = sequence
        bid, _, ask, _ = self.book.best_levels
        if not self.known.holds(bid, ask):
            self._invalidate(Reason.BEYOND_SNAPSHOT, self.epoch)
            return Outcome.WENT_BEYOND
        is_crossed = bid is not None and ask is not None and bid > ask
        if not self._crossed_out(received_ns, is_crossed=is_crossed):
            return _APPLIED
        self._invalidate(Reason.CROSSED, self.epoch)
        return Outcome.CROSSED_OUT

    def _connects(self, record: L2Record) -> bool:
        link = record.previous_sequence if record.kind is Kind.DELTA else record.sequence
        return link == self.sequence and self._same_grid(record)

    def _same_grid(self, record: L2Record) -> bool:
        return self.grid is not None and self.grid.matches(
            record.tick_size, record.lot_size, record.contract_value, record.contract_kind
        )

    def _apply_delta(self, record: L2Record) -> Outcome:
        self.book.update(record.bid_ticks, record.bid_lots, record.ask_ticks, record.ask_lots)
        return self.note_applied(record.sequence, record.received_ns)

    def _take(self, record: L2Record) -> None:
        self.grid = Grid.of(record.tick_size, record.lot_size, record.contract_value, record.contract_kind)
        self.book.replace(record.bid_ticks, record.bid_lots, record.ask_ticks, record.ask_lots)
        self.known = Known.of(record)
        self.validity, self.reason = Validity.LIVE, None
        self.epoch, self.sequence = record.epoch, record.sequence
        self.crossed_since_ns = record.received_ns if self.book.is_crossed else None
        self.crossed_records = 0

    def _compare(self, record: L2Record) -> Outcome:
        theirs, other = Known.of(record), Book()
        other.replace(record.bid_ticks, record.bid_lots, record.ask_ticks, record.ask_lots)
        if compare_books(self.book, self.known, other, theirs).wrong:
            self._invalidate(Reason.SNAPSHOT_MISMATCH, record.epoch)
            return Outcome.BROKE
        if theirs != self.known:
            self._take_over(record, theirs)
        return Outcome.ROUTINE

    def _take_over(self, record: L2Record, theirs: Known) -> None:
        """Take what a snapshot knows: of each side that it knows farther."""
        ours, book = self.known, self.book
        bid = farther_bid(ours.bid_limit(book), theirs.bid)
        ask = farther_ask(ours.ask_limit(book), theirs.ask)
        if bid == theirs.bid:
            book.bids.replace(record.bid_ticks, record.bid_lots)
        if ask == theirs.ask:
            book.asks.replace(record.ask_ticks, record.ask_lots)
        self.known = Known(theirs.coverage, bid, ask)

    def _invalidate(self, reason: Reason | None, epoch: int) -> None:
        self.validity, self.reason = Validity.INVALID, reason
        self.epoch = epoch  # never falls: a record of a lower epoch is ignored before it gets here
        self.crossed_since_ns, self.crossed_records = None, 0

    def _break_reason(self, record: L2Record) -> Reason:
        return Reason.GAP if self._same_grid(record) or record.epoch != self.epoch else Reason.REGRID

    def _crossed_out(self, received_ns: int, *, is_crossed: bool) -> bool:
        if not is_crossed:
            self.crossed_since_ns, self.crossed_records = None, 0
            return False
        if self.crossed_since_ns is None:
            self.crossed_since_ns = received_ns
            return False
        self.crossed_records += 1
        return self.crossed_records >= CROSSED_RECORDS or received_ns - self.crossed_since_ns >= CROSSED_NS
