"""How updates of Tardis connect: it gives none of the venues' ids, so that they are numbered as they arrive."""

from __future__ import annotations

from producers.messages import DepthDelta
from producers.sequencing import Alignment, Continuity, LastUpdate, SequencedUpdate, is_repeat


class ArrivalRule:
    """Updates without ids of a venue.

    1. A whole book comes in the stream, at the start of a day and wherever the feed was interrupted, and replaces it.
    2. An update is the next one where it arrived right after the last one.

    What the venue or the vendor lost in between cannot be seen from the updates: the vendor says so, or nobody does.
    """

    def align(self, delta: DepthDelta, snapshot_sequence: int) -> Alignment:
        """Step 1: none is asked for beside the stream."""
        del delta, snapshot_sequence
        return Alignment.TOO_LATE

    def follow(self, delta: SequencedUpdate, last: LastUpdate) -> Continuity:
        """Step 2."""
        if delta.previous_sequence == last.sequence:
            return Continuity.NEXT
        return Continuity.DUPLICATE if is_repeat(delta, last) else Continuity.GAP
