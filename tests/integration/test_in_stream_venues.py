"""Venues whose books come in the stream, live: whatever befalls one instrument is healed for that one alone."""

from __future__ import annotations

import pytest

from producers.simulator.venues import SIMULATED
from schemas.topics import DEAD_LETTERS, L2
from tests.integration.producing import producing, read_topic, symbols_of
from tests.producers.l2_reader import books_of
from tests.support.tiers import tiered

pytestmark = pytest.mark.integration

IN_STREAM = sorted(name for name, venue in SIMULATED.items() if venue.rules.book_in_stream)


@pytest.mark.parametrize("venue_id", tiered(IN_STREAM, "okx"))
async def test_each_fault_is_healed_for_its_instrument_alone(broker: str, venue_id: str) -> None:
    first, second = symbols_of(venue_id)
    async with producing(broker, venue_id=venue_id) as running:
        await running.all_live()
        stream = running.stream(first)
        for fault, options in (("gap", {}), ("corrupt", {"damage": "number"}), ("snapshot", {})):
            epoch = stream.epoch
            await running.venue.inject(fault, symbol=first, **options)
            await running.until(lambda epoch=epoch: stream.epoch > epoch)
            await running.all_live()
        await running.venue.inject("duplicate", symbol=first)
        await running.until(lambda: stream.counters.duplicates)
        await running.venue.inject("disconnect")
        await running.until(lambda: not any(running.stream(symbol).is_live for symbol in (first, second)))
        await running.all_live()
    books = books_of(read_topic(running.settings, L2))

    assert books[first].invalid == ["gap", "bad_input", "disconnect"]
    assert books[second].invalid == ["disconnect"]
    assert len(books[first].snapshots) == 5
    assert len(read_topic(running.settings, DEAD_LETTERS)) == 1
