"""The venues' own messages as the `replay` of tardis-machine gives them: their adapters read them to the same books."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from producers.exchanges import EXCHANGES
from producers.messages import Frame, Via
from producers.recordings.opened import open_recording, require_venue
from producers.recordings.reader import RecordingReplay
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.faults import Fault
from producers.simulator.recording import SimulatedRecording
from producers.simulator.venues import simulated_venue
from producers.tardis.raw import CHANNELS, RawLines, filters_of, is_raw
from producers.tardis.venues import VENUES
from schemas.errors import DecodeError, FatalError, UsageError
from schemas.messages import Kind, L2Record, Reason
from tests.producers.tardis_data import START_NS, as_raw, raw_line

MARKETS = {
    "binance": "BTCUSDT",
    "binance-futures": "BTCUSDT",
    "binance-delivery": "BTCUSD_PERP",
    "bybit": "BTCUSDT",
    "bybit-spot": "BTCUSDT",
    "okx": "BTC-USDT-SWAP",
    "deribit": "BTC-PERPETUAL",
}


def session(venue: str, seconds: float = 3.0, **faults_every_s: float) -> SimulatedRecording:
    """A session of the venue of its own time; its books come over REST where the venue's do."""
    every_s = {Fault(name): every for name, every in faults_every_s.items()}
    exchange = SimulatedExchange(
        simulated_venue(venue),
        (MARKETS[venue],),
        seed=7,
        start_ns=START_NS,
        changes_per_second=300,
        faults_every_s=every_s,
    )
    return SimulatedRecording(exchange, seconds, 7)


def written(path: Path, recording: SimulatedRecording) -> Path:
    path.write_bytes(b"".join(as_raw(recording)))
    return path


def replayed(path: Path, venue: str) -> tuple[RecordingReplay, list[L2Record]]:
    replay = RecordingReplay(path, EXCHANGES[venue])
    return replay, [record for record in replay.records() if isinstance(record, L2Record)]


def in_steps(levels: list[tuple[str, str]], tick: str, lot: str) -> list[tuple[int, int]]:
    return [(round(float(price) / float(tick)), round(float(size) / float(lot))) for price, size in levels]


@pytest.mark.parametrize("venue", MARKETS)
class TestEveryVenue:
    def test_a_session_ends_with_the_venues_own_book(self, venue: str, tmp_path: Path) -> None:
        recording = session(venue)
        replay, _ = replayed(written(tmp_path / "raw.jsonl", recording), venue)
        [(symbol, true)] = recording.true_books().items()
        stream = replay.router.streams[symbol]
        assert (stream.is_live, stream.counters.gaps, dict(replay.router.rejected)) == (True, 0, {})
        assert (stream.tracked.sequence, stream.counters.trades > 0) == (true["sequence"], True)
        ours = [stream.book.top_bids(200), stream.book.top_asks(200)]
        grid = stream.instrument
        theirs = [in_steps(true[side][:200], grid.tick_size, grid.lot_size) for side in ("bids", "asks")]
        assert [[tuple(level) for level in side] for side in ours] == theirs

    def test_a_lost_connection_is_invalid_until_the_next_book(self, venue: str, tmp_path: Path) -> None:
        recording = session(venue, 12.0, disconnect=4.0)
        replay, records = replayed(written(tmp_path / "raw.jsonl", recording), venue)
        told = [record.reason for record in records if record.kind is Kind.INVALID]
        assert told
        assert set(told) == {Reason.DISCONNECT}
        assert replay.router.streams[MARKETS[venue]].counters.gaps == 0


class TestLines:
    def test_a_message_is_the_venues_frame_byte_for_byte(self) -> None:
        raw = '{"topic": "orderbook.1.A",  "x":1.50}'
        [opened, frame] = RawLines("bybit", "c").frames_of(raw_line(START_NS, raw))
        assert opened == Frame(START_NS, Via.CONNECT, "c")
        assert frame == Frame(START_NS, Via.WS, "c", raw=raw.encode())

    def test_empty_lines_are_one_lost_connection_at_the_time_of_the_last_message(self) -> None:
        lines = RawLines("bybit", "c")
        given = [line for one in (b"\n", raw_line(START_NS, "{}"), b"\n", b"\r\n") for line in lines.frames_of(one)]
        assert [(frame.via, frame.received_ns) for frame in given] == [
            (Via.CONNECT, START_NS),
            (Via.WS, START_NS),
            (Via.DISCONNECT, START_NS),
        ]
        assert [frame.via for frame in lines.frames_of(raw_line(START_NS + 1000, "{}"))] == [Via.CONNECT, Via.WS]

    @pytest.mark.parametrize(
        ("venue", "stream", "via"),
        [
            ("binance-futures", "btcusdt@depthSnapshot", Via.REST),
            ("binance-futures", "btcusdt@topLongShortAccountRatio", Via.WS),
            ("bybit", "btcusdt@depthSnapshot", Via.WS),
        ],
    )
    def test_a_book_that_tardis_fetched_is_an_answer_of_binance(self, venue: str, stream: str, via: Via) -> None:
        raw = json.dumps({"stream": stream, "generated": True, "data": {"lastUpdateId": 5, "bids": [], "asks": []}})
        frame = RawLines(venue, "c").frames_of(raw_line(START_NS, raw))[-1]
        assert frame.via is via
        if via is Via.REST:
            assert frame.request == "/fapi/v1/depth?symbol=BTCUSDT"
            assert json.loads(frame.raw)["lastUpdateId"] == 5

    @pytest.mark.parametrize(
        ("line", "cause"),
        [
            (b'{"localTimestamp":"2024-01-02T03:04:05.006Z","message":{}}', "it is cut short"),
            (b'{"localTimestamp":"2024-01-02T03:0', "it is cut short"),
            (b'{"localTimestamp":"noon","message":{}}\n', "is no moment"),
            (b"hello\n", "not a message of a venue with its time"),
            (b'{"localTimestamp":"2024-01-02T03:04:05.006Z"}\n', "not a message of a venue with its time"),
            (b'{"message":"the key does not allow this","url":"x"}', 'the machine failed: "the key does not allow'),
        ],
    )
    def test_a_line_that_is_off_says_why(self, line: bytes, cause: str) -> None:
        with pytest.raises(DecodeError, match=cause):
            RawLines("bybit", "c").frames_of(line)


class TestAsking:
    @pytest.mark.parametrize("exchange", VENUES)
    def test_every_exchange_has_its_channels(self, exchange: str) -> None:
        asked = filters_of(exchange, ["BTC"], "2024-08-08T00:00:00.000Z")
        assert [one["channel"] for one in asked] == list(CHANNELS[exchange])
        symbols: list[Any] = ["btc"] if exchange.startswith("binance") else ["BTC"]
        assert all(one["symbols"] == symbols for one in asked)

    def test_okx_has_other_books_since_may_2026(self) -> None:
        asked = [filters_of("okex", ["A"], day)[0]["channel"] for day in ("2026-05-20T23:00Z", "2026-05-21T00:00Z")]
        assert asked == ["books-l2-tbt", "books"]

    def test_channels_can_be_named(self) -> None:
        assert filters_of("bybit", ["A"], "2024", ["orderbook.200"]) == [{"channel": "orderbook.200", "symbols": ["A"]}]


class TestFiles:
    def test_a_file_does_not_say_whose_it_is(self, tmp_path: Path) -> None:
        path = tmp_path / "raw.jsonl"
        path.write_bytes(b"\n" + raw_line(START_NS, "{}"))
        assert is_raw(raw_line(START_NS, "{}"))
        with pytest.raises(UsageError, match="does not say which venue it is of"):
            require_venue(path, None)
        source, _ = open_recording(path, EXCHANGES["okx"])
        assert [frame.via for frame in source.frames()] == [Via.CONNECT, Via.WS]

    def test_damage_is_named_by_its_line_or_read_up_to(self, tmp_path: Path) -> None:
        path = written(tmp_path / "raw.jsonl", session("bybit", 1.0))
        whole = path.read_bytes()
        path.write_bytes(whole[:-20])
        lines = whole.count(b"\n")
        source, _ = open_recording(path, EXCHANGES["bybit"])
        with pytest.raises(FatalError, match=rf"line {lines} of .*\(it is cut short\)"):
            list(source.frames())
        source, _ = open_recording(path, EXCHANGES["bybit"], until_damage=True)
        assert len(list(source.frames())) == lines  # all but the last, and that the connection stood
