"""How Deribit's updates connect: its documented rules, each step cited in the branch that applies it."""

from __future__ import annotations

from producers.messages import DepthDelta
from producers.sequencing import NEXT, Alignment, Continuity, LastUpdate, SequencedUpdate, is_repeat


class DeribitRule:
    """Deribit, `book.(instrument_name).(interval)`.

    1. The first notification holds the whole book, each one after it what changed.
    2. All but the first have prev_change_id; where it is the change_id of the one before, nothing was missed.
    3. A level is `[action, price, amount]`, and `delete` removes it; amounts are absolute.

    change_id is not consecutive. A lost message is had again by unsubscribing and subscribing that channel.
    """

    def align(self, delta: DepthDelta, snapshot_sequence: int) -> Alignment:
        """Step 1: books come in the stream; none is asked for beside it."""
        del delta, snapshot_sequence
        return Alignment.TOO_LATE

    def follow(self, delta: SequencedUpdate, last: LastUpdate) -> Continuity:
        """Step 2."""
        if delta.previous_sequence == last.sequence:
            return NEXT
        return Continuity.DUPLICATE if is_repeat(delta, last) else Continuity.GAP
