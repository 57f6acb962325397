"""The chain of one instrument's updates: which one follows the book, what is missing, and what has to wait.

Where an update follows, `published` gives it to the readers; one that is missing ends the chain, and the book with it.

What holds, whatever comes in:
- A fetched snapshot is held until a delta bridges it; one that no delta can bridge any more is discarded
  (`no_bridge`). One that comes in the stream replaces the book at once, whatever it was.
- While no snapshot came deltas wait in a bounded buffer (`bridge`).
- While a second connection brings the same updates, one that came ahead waits for the other, and a copy is dropped
  (`handover`).
"""

from __future__ import annotations

import msgspec

from orderbook.decimals import Placed
from producers.books.bridge import Bridge, Held, NoBridge, Waiting
from producers.books.handover import Overlap
from producers.books.kept import KeptBook
from producers.books.options import StreamCounters
from producers.books.published import PublishedBook
from producers.books.seen_trades import REMEMBERED, REMEMBERED_OF_TWO
from producers.books.statuses import StatusWriter
from producers.messages import DepthDelta, DepthSnapshot
from producers.sequencing import Continuity, LastUpdate, SequenceRule
from schemas.errors import MessageError
from schemas.messages import Reason


class UpdateChain:
    """Finds the place of each update of one instrument.

    Args:
        rule: How the venue's updates connect.
        kept: The book that they follow.
        published: Takes those that do.
        statuses: What is said of the feed.
        bridge: Where they wait for a snapshot.
        counters: What happened is counted there.

    Attributes:
        overlap: What two connections brought; None where a second one neither stands nor stood of late.
    """

    def __init__(
        self,
        rule: SequenceRule,
        kept: KeptBook,
        published: PublishedBook,
        *,
        statuses: StatusWriter,
        bridge: Bridge,
        counters: StreamCounters,
    ) -> None:
        self.overlap: Overlap | None = None
        self._rule = rule
        self._kept = kept
        self._published = published
        self._statuses = statuses
        self._bridge = bridge
        self._counters = counters

    # -- what came

    def take(self, delta: DepthDelta, placed: Placed, now: int) -> None:
        """Take an update: into a LIVE book where it follows, else to where it waits for a snapshot."""
        self._bridge.receiving = True
        if self._kept.is_live:
            self._follow(delta, placed, now)
            return
        self._kept.flow.skip()
        self._published.advance().note(delta)
        was_beyond = self._published.is_beyond
        self._bridge.wait(delta, now)
        if not self._join() and was_beyond and self._follow_beyond(delta, placed, now):
            self._bridge.note_in_book()

    def hold(self, snapshot: DepthSnapshot, now: int) -> None:
        """Hold a fetched snapshot until an update bridges it."""
        self._bridge.hold(snapshot, now)
        self._join()

    def replace(self, snapshot: DepthSnapshot, placed: Placed, now: int) -> None:
        """Take a book that came in the stream: the chain begins there."""
        self._bridge.receiving = True
        self._published.advance().jump(snapshot.sequence, is_known=self.overlap is not None)
        self._bridge.drop(wanted=None)
        self._published.replace(snapshot, placed, now)

    def lose_connection(self, now: int) -> None:
        """Lose everything that waited: the connection is lost, and with it updates that nobody counted."""
        self._published.invalidate(Reason.DISCONNECT, now)
        self._bridge.drop(wanted=Reason.DISCONNECT)
        self._bridge.receiving = False
        self._published.stop_following()
        self._kept.flow.forget()
        self.overlap = None
        self._statuses.reason = Reason.DISCONNECT
        self._kept.quotes.forget()

    # -- over two connections

    def begin_overlap(self) -> None:
        """Take note that a second connection brings the same from now on."""
        if self.overlap is None:
            self.overlap = Overlap(self._kept.tracked.sequence)
        else:
            self.overlap.reopen(self._kept.tracked.sequence)
        self._kept.flow.join()

    def end_overlap(self, now: int) -> None:
        """Take note that one of two has ended: what only it could have brought before what waits is missing."""
        self._kept.flow.part()
        if self.overlap is not None:
            self.overlap.end(now)
            if ahead := self.overlap.take_ahead():
                self._tell_gap(ahead, now)

    def trades_to_remember(self, now: int) -> int:
        """Tell how many trades are remembered: more while a second connection may bring them again."""
        if self.overlap is not None and self.overlap.is_over(now):
            self.overlap = None
        return REMEMBERED if self.overlap is None else REMEMBERED_OF_TWO

    def _overlaps(self, delta: DepthDelta, now: int) -> bool:
        """Take an update that one of two connections brought before or after the other; False where one is missing."""
        overlap = self.overlap
        if overlap is None:
            return False
        if overlap.is_over(now):
            self.overlap = None
            return False
        if overlap.is_copy(delta, self._kept.tracked.sequence):
            self._counters.duplicates += 1
            return True
        return overlap.hold(delta, now)

    def _follow_ahead(self) -> None:
        """Apply what waited for the update that was just applied."""
        overlap = self.overlap
        while overlap is not None and overlap.ahead and self._is_followed:
            delta, received_ns, _ = overlap.ahead[0]
            outcome = self._place_of(delta)
            is_copy = outcome is Continuity.DUPLICATE or overlap.is_copy(delta, self._kept.tracked.sequence)
            if outcome is Continuity.GAP and not is_copy:
                return
            overlap.ahead.popleft()
            self._counters.duplicates += is_copy
            if not is_copy and not self._apply_ahead(delta, received_ns):
                return

    def _apply_ahead(self, delta: DepthDelta, received_ns: int) -> bool:
        placed = self._placed_late(delta, received_ns)
        if placed is None:
            return False
        if self._published.is_beyond:
            self._published.follow(delta, placed, received_ns)
        else:
            self._published.apply(delta, placed, received_ns)
        return True

    # -- does it follow?

    @property
    def _is_followed(self) -> bool:
        return self._kept.is_live or self._published.is_beyond

    def _place_of(self, delta: DepthDelta) -> Continuity:
        return self._rule.follow(delta, LastUpdate(self._kept.tracked.sequence, self._kept.records.exchange_ns))

    def _follow(self, delta: DepthDelta, placed: Placed, now: int, *, waited: bool = False) -> None:
        """Give an update to a LIVE book where it follows; where one is missing before it, end the chain."""
        outcome, sequence = self._place_of(delta), self._kept.tracked.sequence
        if outcome is Continuity.NEXT:
            if delta.last_sequence < sequence and not waited:
                self._published.begin_anew(sequence, delta.last_sequence)
            self._published.apply(delta, placed, now, waited=waited)
            self._follow_ahead()
        elif outcome is Continuity.DUPLICATE:
            self._counters.duplicates += 1
        elif not self._overlaps(delta, now):
            ahead = self.overlap.take_ahead() if self.overlap is not None else []
            self._tell_gap([*ahead, Waiting(delta, now)], now)

    def _follow_beyond(self, delta: DepthDelta, placed: Placed, now: int) -> bool:
        """Apply an update to a book that nobody may believe, where it follows; True where the book has it then."""
        outcome = self._place_of(delta)
        if outcome is Continuity.NEXT:
            self._published.follow(delta, placed, now)
            self._follow_ahead()
            return True
        if outcome is Continuity.DUPLICATE:
            self._counters.duplicates += 1
            return True
        if self._overlaps(delta, now):
            return delta.last_sequence <= self._kept.tracked.sequence
        self._counters.gaps += 1
        self._published.want(Reason.GAP)
        self._published.stop_following()
        return False

    def _tell_gap(self, late: list[Waiting], now: int) -> None:
        """Invalidate the book: something is missing before these, which wait for the next one."""
        self._counters.gaps += 1
        first, sequence = late[0].delta, self._kept.tracked.sequence
        begins_anew = first.last_sequence <= sequence
        if begins_anew:
            self._kept.forget_quotes()
        detail = f"update {first.first_sequence} to {first.last_sequence} does not follow {sequence}"
        self._published.invalidate(Reason.GAP, now, detail)
        self._published.advance().note_all([waiting.delta for waiting in late], begins_anew=begins_anew)
        for delta, received_ns, _ in reversed(late):
            self._bridge.wait_first(delta, received_ns)  # older than whatever still waits

    # -- from a fetched snapshot on

    def _join(self) -> bool:
        """Make the book LIVE if a snapshot is held and a waiting delta bridges it; True where that was taken."""
        joined = self._bridge.join()
        if isinstance(joined, NoBridge):
            self._statuses.reason = Reason.NO_BRIDGE
            first, sequence = joined.delta.first_sequence, joined.snapshot.sequence
            self._statuses.append_if_changed(f"update {first} starts too late for snapshot {sequence}")
        elif joined is not None:
            self._go_live(joined)
        return isinstance(joined, Held)

    def _go_live(self, held: Held) -> None:
        """Begin an epoch with a snapshot, and give the book what waited for it."""
        self._published.begin_epoch(held.snapshot, self._kept.place_whole(held.snapshot), held.received_ns)
        is_bridging = True
        while self._bridge.waiting and self._is_followed:
            delta, received_ns, is_in_book = self._bridge.waiting.popleft()
            self._counters.deltas_applied -= is_in_book  # once more, onto another book
            placed = self._placed_late(delta, received_ns)
            if placed is None:
                return
            if self._published.is_beyond:
                self._follow_beyond(delta, placed, received_ns)
            elif is_bridging:
                self._published.apply(delta, placed, received_ns, waited=True)
            else:
                self._follow(delta, placed, received_ns, waited=True)
            is_bridging = False

    def _placed_late(self, delta: DepthDelta, received_ns: int) -> Placed | None:
        """Place an update that waited; refuse it, and the book, where it is finer than this book can follow."""
        try:
            return self._kept.place(delta)
        except MessageError as error:  # read once already
            payload = msgspec.json.encode(delta)
            self._counters.deltas_refused += 1
            self._kept.out.append(self._kept.records.letter(error, delta.last_sequence, payload, received_ns))
            self._published.invalidate(Reason.BAD_INPUT, self._kept.now_ns, str(error))
            return None
