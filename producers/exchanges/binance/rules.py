"""How Binance's updates connect: its documented rules, each step cited in the branch that applies it."""

from __future__ import annotations

from producers.messages import DepthDelta
from producers.sequencing import NEXT, Alignment, Continuity, LastUpdate, SequencedUpdate, is_repeat


class BinanceFuturesRule:
    """Binance futures, "How to manage a local order book correctly". U, u, pu: first, last and previous update id.

    1. Open a stream to <symbol>@depth.
    2. Buffer the events received. For the same price, the latest received update covers the previous one.
    3. Get a depth snapshot from the REST interface; its id is L (`lastUpdateId`).
    4. Drop any event where u is < L in the snapshot.
    5. The first processed event should have U <= L and u >= L.
    6. Each new event's pu should be equal to the previous event's u, otherwise initialise the process from step 3.
    7. The data in each event is the absolute quantity for a price level.
    8. If the quantity is 0, remove the price level.
    9. Receiving an event that removes a price level that is not in the local order book can happen and is normal.

    Recordings show two first events the text does not spell out: one with pu == L, which connects exactly by step 6
    though U > L, and one with u == L, whose id the book then has twice.
    """

    def align(self, delta: DepthDelta, snapshot_sequence: int) -> Alignment:
        """Steps 4 and 5."""
        if delta.last_sequence < snapshot_sequence:  # step 4
            return Alignment.STALE
        connects = delta.previous_sequence == snapshot_sequence  # step 6 with the snapshot as the previous event
        if connects or delta.first_sequence <= snapshot_sequence:  # step 5; u >= L holds since step 4
            return Alignment.BRIDGES
        return Alignment.TOO_LATE

    def follow(self, delta: SequencedUpdate, last: LastUpdate) -> Continuity:
        """Step 6, and what is neither next nor missing."""
        connects = delta.previous_sequence == last.sequence
        if connects and delta.last_sequence != last.sequence:  # step 6
            return NEXT
        return Continuity.DUPLICATE if connects or is_repeat(delta, last) else Continuity.GAP


class BinanceSpotRule:
    """Binance spot, "How to manage a local order book correctly". U, u: first and last update id.

    1. Open a WebSocket connection to <symbol>@depth.
    2. Buffer the events received from the stream. Note the U of the first event you received.
    3. Get a depth snapshot; its id is L (`lastUpdateId`).
    4. If L is strictly less than the U from step 2, go back to step 3.
    5. In the buffered events, discard any event where u is <= L. The first buffered event should now have L within
       its [U; u] range (the older wording: U <= L + 1 and u >= L + 1, which also admits the event that starts right
       after the snapshot; it misses nothing).
    6. Set the local order book to the snapshot. Its update id is L.
    7. Apply: if u < the local update id, ignore the event. If U > the local update id + 1, something was missed:
       discard the local order book and restart. Normally U of the next event is u + 1 of the previous one; one that
       begins earlier and ends later overlaps the book, and is applied: its quantities are absolute.
    """

    def align(self, delta: DepthDelta, snapshot_sequence: int) -> Alignment:
        """Steps 4 and 5."""
        if delta.last_sequence <= snapshot_sequence:  # step 5
            return Alignment.STALE
        if delta.first_sequence <= snapshot_sequence + 1:  # step 5; u >= L + 1 holds by now
            return Alignment.BRIDGES
        return Alignment.TOO_LATE  # step 4

    def follow(self, delta: SequencedUpdate, last: LastUpdate) -> Continuity:
        """Step 7: ids that all lie at or below the book's are a repeat, or the venue began them anew."""
        if delta.first_sequence <= last.sequence + 1 <= delta.last_sequence:
            return NEXT
        return Continuity.DUPLICATE if is_repeat(delta, last) else Continuity.GAP
