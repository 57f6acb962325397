"""How Bybit's updates connect: its documented rules, each step cited in the branch that applies it."""

from __future__ import annotations

from producers.messages import DepthDelta
from producers.sequencing import NEXT, Alignment, Continuity, LastUpdate, SequencedUpdate, is_repeat


class BybitRule:
    """Bybit v5, "Orderbook", process snapshot and delta. u: update id of a topic.

    1. Subscribe to `orderbook.{depth}.{symbol}`; a snapshot comes, then a delta each time that the book changes.
    2. A snapshot that comes later replaces the book: the service had trouble, and sends the latest there is.
    3. A message with u = 1 is a snapshot: the service restarted, and its numbers with it.
    4. Of a delta, size 0 deletes the level; any other is the level's new size.

    The text calls u consecutive and promises nothing; in recordings each is one above the one before, whatever the
    depth, so one that is not has lost something. An id that comes again says again what the book has.
    """

    def align(self, delta: DepthDelta, snapshot_sequence: int) -> Alignment:
        """Step 1: books come in the stream. One asked for over REST numbers another depth, and bridges nothing."""
        del delta, snapshot_sequence
        return Alignment.TOO_LATE

    def follow(self, delta: SequencedUpdate, last: LastUpdate) -> Continuity:
        """One above the last; snapshots (steps 2 and 3) do not come here."""
        if delta.previous_sequence == last.sequence:
            return NEXT
        return Continuity.DUPLICATE if is_repeat(delta, last) else Continuity.GAP
