"""The committed recordings: what they claim to hold, checked by a reader of its own."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from producers.simulator.exchange import SimulatedExchange
from producers.simulator.faults import Fault
from producers.simulator.recording import SimulatedRecording
from producers.simulator.recording_files import write_recording
from producers.simulator.venues import simulated_venue
from schemas.errors import UsageError
from tests.producers.binance_reader import IndependentReader, assert_true_book, read_frame

RECORDINGS = Path(__file__).parents[1] / "recordings"
VENUES = FUTURES, SPOT = "binance-futures", "binance"
START_NS = 1_704_067_200 * 10**9
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def load(venue: str) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    lines = gzip.decompress((RECORDINGS / f"{venue}.frames.jsonl.gz").read_bytes()).splitlines()
    metadata = json.loads((RECORDINGS / f"{venue}.metadata.json").read_bytes())
    books = json.loads(gzip.decompress((RECORDINGS / f"{venue}.true-books.json.gz").read_bytes()))
    return [json.loads(line) for line in lines], metadata, books


@pytest.mark.parametrize("venue", VENUES)
def test_an_independent_reader_finds_what_the_metadata_claims(venue: str) -> None:
    lines, metadata, books = load(venue)
    readers = {
        symbol: IndependentReader(venue == FUTURES, entry["tick_size"], entry["lot_size"])
        for symbol, entry in metadata["instruments"].items()
    }
    for line in lines:
        if line["via"] == "rest" and "depth" in line["request"]:
            symbol = line["request"].partition("symbol=")[2].partition("&")[0]
            readers[symbol].on_snapshot(json.loads(line["raw"]))
        elif line["via"] == "ws":
            read_frame(readers, line["raw"])

    for symbol, expected in metadata["instruments"].items():
        reader = readers[symbol]
        found = (reader.applied, reader.dropped, reader.trades, reader.last_u, [len(reader.bids), len(reader.asks)])
        assert found == tuple(
            expected[name] for name in ("applied", "dropped_before_snapshot", "trades", "last_u", "final_levels")
        )
        assert hashlib.sha256(reader.text().encode()).hexdigest() == expected["final_book_sha256"]
        assert books[symbol]["sequence"] == reader.last_u
        assert_true_book(reader, books[symbol]["bids"], books[symbol]["asks"])


@pytest.mark.parametrize("venue", VENUES)
def test_the_recording_can_be_made_again_from_its_seed(venue: str, tmp_path: Path) -> None:
    _, metadata, _ = load(venue)
    simulated = SimulatedExchange(simulated_venue(venue), SYMBOLS, seed=7, start_ns=START_NS, changes_per_second=60.0)
    again = write_recording(simulated, tmp_path / f"{venue}.frames.jsonl.gz", 25, seed=7, rate=60.0, faults=False)

    assert json.loads(json.dumps(again)) == metadata
    committed = gzip.decompress((RECORDINGS / f"{venue}.frames.jsonl.gz").read_bytes())
    assert hashlib.sha256(committed).hexdigest() == metadata["sha256_unpacked"]


def test_times_never_fall_and_snapshots_arrive_after_the_first_updates() -> None:
    for venue in VENUES:
        lines, _, _ = load(venue)
        received = [line["received_ns"] for line in lines]
        vias = [line["via"] for line in lines]
        assert received == sorted(received)
        assert vias[:3] == ["rest", "connect", "ws"]
        first_depth = next(index for index, line in enumerate(lines) if "depthUpdate" in line["raw"])
        first_snapshot = next(index for index, line in enumerate(lines) if "lastUpdateId" in line["raw"])
        assert first_depth < first_snapshot


def test_a_disconnect_is_recorded_and_the_books_are_asked_for_again() -> None:
    simulated = SimulatedExchange(
        simulated_venue(FUTURES),
        SYMBOLS,
        seed=3,
        start_ns=START_NS,
        changes_per_second=40.0,
        faults_every_s={Fault.DISCONNECT: 4.0},
    )
    frames = list(SimulatedRecording(simulated, 15))
    lost = [index for index, frame in enumerate(frames) if frame.via == "disconnect"]

    assert 2 <= len(lost) <= 5
    for index in lost[:-1]:
        after = [frame.via for frame in frames[index + 1 : index + 3]]
        assert after == ["connect", "ws"]
        later = [frame for frame in frames[index + 1 :] if frame.via == "rest"][: len(SYMBOLS)]
        assert {frame.connection for frame in later} == {str(int(frames[index].connection) + 1)}


def test_an_existing_recording_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.frames.jsonl.gz"
    path.write_bytes(b"precious")
    simulated = SimulatedExchange(simulated_venue(FUTURES), SYMBOLS, start_ns=START_NS)

    with pytest.raises(UsageError, match="is there already"):
        write_recording(simulated, path, 1, seed=0, rate=200.0, faults=False)
    assert path.read_bytes() == b"precious"
    with pytest.raises(UsageError, match="not the name of a recording"):
        write_recording(simulated, tmp_path / "a.txt", 1, seed=0, rate=200.0, faults=False)
