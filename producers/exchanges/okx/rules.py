"""How OKX's updates connect, and its checksum: its documented rules, each step cited in the branch that applies it."""

from __future__ import annotations

from itertools import zip_longest
from typing import Final
from zlib import crc32

from orderbook.decimals import Levels
from producers.messages import DepthDelta
from producers.sequencing import NEXT, Alignment, Continuity, LastUpdate, SequencedUpdate, is_repeat

SUMMED_LEVELS: Final = 25


class OkxRule:
    """OKX v5, "Order book channel", sequence ids; and, for a book over REST, the notice of 2026-02-12.

    1. prevSeqId of an update is the seqId of the one before it; of a snapshot it is -1.
    2. Where nothing changed for a minute an update without levels comes, seqId = prevSeqId.
    3. After maintenance the numbers may begin anew: seqId < prevSeqId, and prevSeqId is still the one before.
    4. With a book over REST: drop what has seqId <= its seqId; the first update applied has
       prevSeqId <= its seqId < seqId.

    So seqId is never compared by order to find what follows. An update that comes again is ignored.
    """

    def align(self, delta: DepthDelta, snapshot_sequence: int) -> Alignment:
        """Step 4; an update that names the book itself follows it, whatever its number (steps 2 and 3)."""
        previous, last = delta.previous_sequence, delta.last_sequence
        if previous is None:  # without numbers only a book in the stream can be followed
            return Alignment.TOO_LATE
        if previous == snapshot_sequence:
            return Alignment.BRIDGES
        if max(previous, last) <= snapshot_sequence:
            return Alignment.STALE
        return Alignment.BRIDGES if previous < snapshot_sequence < last else Alignment.TOO_LATE

    def follow(self, delta: SequencedUpdate, last: LastUpdate) -> Continuity:
        """Step 1, which covers 2 and 3. Without numbers each is the next: the checksum tells whether it was."""
        previous = delta.previous_sequence
        if previous is None or previous == last.sequence:
            return NEXT
        if delta.last_sequence == last.sequence and previous < last.sequence:
            return Continuity.DUPLICATE
        return Continuity.DUPLICATE if is_repeat(delta, last) else Continuity.GAP


def summed(bids: Levels, asks: Levels) -> int:
    """The checksum: the best 25 of each side in turns, `price:size` joined by colons, CRC-32 as a signed number.

    The venue writes its numbers without trailing zeros, so that they can be written again from the grid.
    """
    turns = zip_longest(bids[:SUMMED_LEVELS], asks[:SUMMED_LEVELS], fillvalue=())
    total = crc32(":".join([text for bid, ask in turns for text in (*bid, *ask)]).encode())
    return total - 2**32 if total >= 2**31 else total
