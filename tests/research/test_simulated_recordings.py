"""A recording of each venue the simulator plays: rebuilt by the adapters, it ends in the simulator's own books."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from obflow.settings import Settings
from producers.exchanges import EXCHANGES
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.recording_files import write_recording
from producers.simulator.venues import SIMULATED
from research.replay import open_replay
from research.verify import verify

START_NS = 1_704_067_200 * 10**9
EACH = pytest.mark.parametrize("venue", sorted(SIMULATED))


def recorded(venue: str, path: Path) -> dict[str, Any]:
    """Record ten seconds of two instruments; give what a reader must find, by instrument."""
    played = SIMULATED[venue]
    exchange = SimulatedExchange(played, played.listed[:2], seed=5, start_ns=START_NS, changes_per_second=60.0)
    metadata = write_recording(exchange, path, 10, seed=5, rate=60.0, faults=False)
    found: dict[str, Any] = metadata["instruments"]
    return found


def exact(levels: list[tuple[str, str]]) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(price), Decimal(size)) for price, size in levels]


def test_every_venue_is_played_by_the_simulator() -> None:
    assert set(SIMULATED) == set(EXCHANGES)


@EACH
def test_a_simulated_recording_is_verified_exactly(venue: str, tmp_path: Path) -> None:
    path = tmp_path / "simulated.frames.jsonl.gz"
    expected = recorded(venue, path)
    report = verify(open_replay(path, EXCHANGES[venue], Settings()))

    assert report["rejected"] == {}
    assert set(report["instruments"]) == set(expected)
    for symbol, said in expected.items():
        book = report["instruments"][symbol]
        assert (book["state"], book["gaps"], book["crossed"], book["duplicates"]) == ("LIVE", 0, 0, 0)
        numbered = not SIMULATED[venue].rules.book_in_stream  # others sample their quotes, and number them otherwise
        assert (book["quotes_checked"], book["quotes_wrong"]) == (said["applied"] if numbered else 0, 0)
        assert (book["deltas_applied"], book["deltas_dropped"]) == (said["applied"], said["dropped_before_snapshot"])
        assert book["last_sequence"] == said["last_u"]
        assert [book["bid_levels"], book["ask_levels"]] == said["final_levels"]
        assert exact(book["best_bids"]) == exact(said["final_top5_bids"])
        assert exact(book["best_asks"]) == exact(said["final_top5_asks"])
