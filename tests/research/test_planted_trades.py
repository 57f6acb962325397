"""A recorded session with absurd trades and quotes planted in it gives the same book, update by update.

`make test` plants them before every update at once, and one trade alone in the file at two places a session;
`OBFLOW_FUZZ=all` (`make fuzz`) at 24.
"""

from __future__ import annotations

import gzip
import json
import os
import random
from pathlib import Path

import pytest
from msgspec.structs import replace

from obflow.settings import Settings
from producers.exchanges import EXCHANGES
from producers.messages import BestQuote, TradeTick
from research.replay import open_replay
from research.verify import verify
from schemas.errors import InvalidNumber
from schemas.messages import L2Record
from tests.research.parsed import ParsedLine, ParsedRecording, parse_recording, play
from tests.support.tiers import tiered

pytestmark = [pytest.mark.recorded, pytest.mark.slow]

APPLIED = {"binance-futures": 6_547, "binance": 3_449}
NAME = "BTCUSDT-20240808.frames.jsonl.gz"
GRIDS = {"binance-futures": ("0.1", "0.001"), "binance": ("0.01", "0.000001")}
PLACES = 24 if os.environ.get("OBFLOW_FUZZ") == "all" else 2
ABSURD = (
    ("61800.00000000000001", "0.001"),
    ("61800.000000001", "0.000000001"),
    ("61800.1", "0.00000000000000001"),
    ("900000000000000000", "900000000000000"),
    ("61800.00000000000000001", "1"),  # on no grid within int64: refused
)


@pytest.fixture(scope="module", params=sorted(APPLIED))
def session(request: pytest.FixtureRequest, recordings: Path) -> ParsedRecording:
    venue = str(request.param)
    return parse_recording(recordings / venue / NAME, venue)


def test_absurd_trades_and_quotes_before_every_update_change_nothing_of_the_book(session: ParsedRecording) -> None:
    quiet, loud = session.stream(), session.stream()
    heard = refused = 0
    for index, number in enumerate(session.book_lines):
        line = session.lines[number]
        price, size = ABSURD[index % len(ABSURD)]
        for message in (
            TradeTick("BTCUSDT", str(index), price, size, True, None),
            BestQuote("BTCUSDT", price, size, price, size, 10**18 + index),  # of no update of the recording
        ):
            try:
                assert play(loud, [ParsedLine(message, line.received_ns)]) == []
                heard += 1
            except InvalidNumber:
                refused += 1

        assert without_trades(play(loud, [line])) == without_trades(play(quiet, [line]))

    assert loud.counters.deltas_applied == quiet.counters.deltas_applied == APPLIED[session.venue]
    assert (loud.counters.regrids, loud.counters.gaps) == (0, 0)
    assert heard > refused > 0


def without_trades(records: list[L2Record]) -> list[L2Record]:
    quiet = {"trade_ticks": [], "trade_lots": [], "quote_flow_lots": None, "quote_events": 0}
    return [replace(record, **quiet) for record in records]


@pytest.mark.parametrize("venue", tiered(sorted(APPLIED), "binance"))
def test_one_absurd_trade_anywhere_in_a_file_costs_no_update(recordings: Path, tmp_path: Path, venue: str) -> None:
    lines = gzip.decompress((recordings / venue / NAME).read_bytes()).splitlines()
    places = random.Random(61_800)
    for count in range(PLACES):
        # The first one cost 5,663 of the futures' 6,547 updates, where a trade moved the grid.
        place = (len(lines) // 13, 0)[count] if count < 2 else places.randrange(len(lines))
        price, size = ABSURD[count % len(ABSURD)]
        path = tmp_path / "planted.frames.jsonl"
        path.write_bytes(
            b"\n".join([*lines[:place], planted(lines[place], venue, price, size), *lines[place:]]) + b"\n"
        )

        replay = open_replay(path, EXCHANGES[venue], Settings())
        report = verify(replay)

        (book,), (instrument,) = report["instruments"].values(), replay.found.instruments.values()
        assert book["deltas_applied"] == APPLIED[venue], f"{price} x {size} before line {place}"
        assert (book["state"], book["quotes_wrong"], book["gaps"]) == ("LIVE", 0, 0)
        assert (instrument.tick_size, instrument.lot_size) == GRIDS[venue]


def planted(before: bytes, venue: str, price: str, size: str) -> bytes:
    trade = {"e": "trade", "E": 1, "T": 1, "s": "BTCUSDT", "t": 1, "p": price, "q": size, "m": True}
    kind = {"X": "MARKET"} if venue == "binance-futures" else {}
    frame = json.dumps({"stream": "btcusdt@trade", "data": trade | kind})
    return json.dumps({"received_ns": json.loads(before)["received_ns"], "via": "ws", "raw": frame}).encode()
