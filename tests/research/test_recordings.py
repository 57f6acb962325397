"""The recorded sessions of Binance: the golden files, and every update against the venue's own best quote."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from obflow.settings import Settings
from producers.exchanges import EXCHANGES
from research.replay import FactorReplay, open_replay, summarise
from research.verify import BookReport, RecordingReport, verify
from tests.processors.feed import ENGINE

pytestmark = pytest.mark.recorded

NAME = "BTCUSDT-20240808"
EXPECTED = {
    "binance-futures": {"deltas_applied": 6547, "deltas_dropped": 4, "messages": 93_954},
    "binance": {"deltas_applied": 3449, "deltas_dropped": 2, "messages": 41_249},
}
BEYOND = {"binance-futures": (722, 4), "binance": (22, 1)}
"""Updates after which the best price lay beyond what the only snapshot knew, and how many times it went there."""
EACH = pytest.mark.parametrize("venue", sorted(EXPECTED))


def recording(recordings: Path, venue: str) -> Path:
    return recordings / venue / f"{NAME}.frames.jsonl.gz"


@pytest.fixture(scope="module")
def reports(recordings: Path) -> dict[str, RecordingReport]:
    return {
        venue: verify(open_replay(recording(recordings, venue), EXCHANGES[venue], Settings())) for venue in EXPECTED
    }


def golden(recordings: Path, venue: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((recordings / venue / f"{NAME}.golden.json").read_text())
    return found


def exact(levels: list[tuple[str, str]]) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(price), Decimal(size)) for price, size in levels]


@EACH
def test_the_book_equals_the_golden_file(recordings: Path, reports: dict[str, RecordingReport], venue: str) -> None:
    report, expected = reports[venue], golden(recordings, venue)
    book: BookReport = report["instruments"]["BTCUSDT"]

    assert report["messages"] == EXPECTED[venue]["messages"]
    assert report["rejected"] == {}
    assert (book["state"], book["reason"], book["snapshots"]) == ("LIVE", None, 1)
    assert book["deltas_applied"] == expected["applied"] == EXPECTED[venue]["deltas_applied"]
    assert book["deltas_dropped"] == expected["dropped_before_snapshot"] == EXPECTED[venue]["deltas_dropped"]
    assert (book["gaps"], book["duplicates"], book["crossed"]) == (0, 0, 0)
    assert book["last_sequence"] == expected["last_u"]
    assert [book["bid_levels"], book["ask_levels"]] == expected["final_levels"]
    assert exact(book["best_bids"]) == exact(expected["final_top5_bids"])
    assert exact(book["best_asks"]) == exact(expected["final_top5_asks"])


@EACH
def test_after_every_update_the_book_shows_the_venues_best_quote(
    recordings: Path, reports: dict[str, RecordingReport], venue: str
) -> None:
    book, expected = reports[venue]["instruments"]["BTCUSDT"], golden(recordings, venue)["bookTicker_crosscheck"]
    assert (book["quotes_checked"], book["quotes_wrong"]) == (expected["equal"], expected["different"])


@EACH
def test_there_is_one_event_an_update_and_one_for_the_snapshot(recordings: Path, venue: str) -> None:
    replay = open_replay(recording(recordings, venue), EXCHANGES[venue], Settings())
    found = summarise(FactorReplay(replay, ENGINE))["BTCUSDT"]
    beyond, times = BEYOND[venue]
    # Each time that the best price leaves what is known two events say so, and one says that it is back.
    assert found.events == EXPECTED[venue]["deltas_applied"] + 1 - beyond + 2 * times
    assert found.statuses["OK"] == found.events - 2 * times
    assert sum(found.statuses.values()) == found.events
    assert found.statuses["RESYNCING"] == 2 * times


def test_the_spot_grid_is_finer_than_its_first_snapshot_shows(recordings: Path) -> None:
    replay = open_replay(recording(recordings, "binance"), EXCHANGES["binance"], Settings())
    instrument = replay.found.instruments["BTCUSDT"]
    list(replay)
    assert (instrument.tick_size, instrument.lot_size) == ("0.01", "0.000001")
    assert replay.router.streams["BTCUSDT"].counters.regrids == 0
