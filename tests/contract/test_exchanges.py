"""One suite over every venue of `EXCHANGES`: what `producers.contract.Exchange` promises, and its fixture folder.

A fixture is a synthetic recording whose script is in `tests/producers/fixtures/generate.py`; what must come of it was
written by that script, which imports nothing of ours.
"""

from __future__ import annotations

import hashlib
import json
import pkgutil
import runpy
from collections.abc import Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers import exchanges
from producers.books.options import StreamOptions
from producers.books.records import ProducerRecord
from producers.books.router import FrameRouter
from producers.books.seen_trades import NO_IDS
from producers.books.stream import InstrumentStream
from producers.contract import MAX_FRAME_BYTES, Exchange, Fetch
from producers.exchanges import EXCHANGES
from producers.live.subscription_parts import in_messages
from producers.messages import (
    Ack,
    DepthDelta,
    DepthSnapshot,
    Frame,
    Notice,
    NoticeKind,
    Reply,
    SnapshotOrigin,
    TradeTick,
    VenueMessage,
    Via,
)
from producers.recordings.reader import RecordingReplay
from producers.recordings.recording import Recording
from schemas.codec import decode, encode
from schemas.errors import MessageError
from schemas.messages import DeadLetter, FeedState, FeedStatus, Kind, L2Record, Reason, ResyncRequest, TradeRecord
from tests.bazaar import generate as bazaar
from tests.bazaar.venue import BAZAAR
from tests.producers.messages import framed
from tests.producers.reader import DictReader

FIXTURES = Path(__file__).parents[1] / "producers" / "fixtures"
SYMBOL = "BTCUSDT"
COUNTED = (
    "snapshots",
    "deltas_applied",
    "deltas_dropped",
    "duplicates",
    "gaps",
    "crossed",
    "trades",
    "checksums_ok",
    "checksums_bad",
)
SHARED = ("family", "answers", "numbers", "times", "deltas", "frames", "login", "requests", "rules", "shapes")
"""What the venues of a family share."""
VENUES: dict[str, Exchange] = {**EXCHANGES, "bazaar": BAZAAR}
"""The registered ones, and one that is made up: its books come in the stream, several instruments a message."""
EACH = pytest.mark.parametrize("venue", sorted(VENUES))


def folder(venue: str) -> Path:
    return bazaar.FOLDER if venue == "bazaar" else FIXTURES / venue


def expected(venue: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder(venue) / "expected.json").read_text())
    return found


def lines_of(venue: str) -> list[Frame]:
    return list(Recording(folder(venue) / "frames.jsonl").frames())


def spoken(venue: str) -> dict[str, Any]:
    """What the venue answers to what is said, as text."""
    found: dict[str, Any] = json.loads((folder(venue) / "talk.json").read_text())
    return found


def heard(raw: str) -> Frame:
    return framed(raw.encode())


def fetched(exchange: Exchange) -> list[Fetch]:
    """How a book is fetched, where it is."""
    way = exchange.recover(SYMBOL)
    return [way] if isinstance(way, Fetch) else []


def scripted(script: dict[str, Any], router: FrameRouter) -> list[tuple[InstrumentStream, dict[str, Any]]]:
    """Each instrument's stream and what the script says of it."""
    said = script.get("instruments") or dict.fromkeys(router.streams, script)
    assert set(said) == set(router.streams)
    return [(router.streams[symbol], said[symbol]) for symbol in said]


def replayed(venue: str, **options: Any) -> tuple[RecordingReplay, list[ProducerRecord]]:
    replay = RecordingReplay(folder(venue) / "frames.jsonl", VENUES[venue], StreamOptions(**options))
    return replay, list(replay.records())


def test_registry_files_and_fixtures_are_the_same_venues() -> None:
    modules = {module.name for module in pkgutil.walk_packages(exchanges.__path__, "producers.exchanges.")}
    families = {name.rpartition(".")[0] for name in modules}
    files = {name for name in modules - families if name.rpartition(".")[2] not in SHARED}
    registered = list(EXCHANGES.values())
    found = [[value for value in vars(import_module(name)).values() if value in registered] for name in files]
    fixtures = {path.name for path in FIXTURES.iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert all(len(venues) == 1 for venues in found), "a file is a venue"
    assert {venue.venue for (venue,) in found} == set(EXCHANGES) == fixtures


class TestContract:
    @EACH
    def test_a_venue_is_registered_under_its_own_name(self, venue: str) -> None:
        exchange: Exchange = VENUES[venue]
        assert exchange.venue == venue == venue.lower()
        assert ":" not in venue

    @EACH
    def test_addresses_and_paths_join(self, venue: str) -> None:
        exchange = VENUES[venue]
        assert exchange.endpoints.websocket.startswith("wss://")
        assert exchange.endpoints.rest.startswith("https://")
        fetches = [*exchange.listings(), *exchange.listings([SYMBOL]), *fetched(exchange)]
        paths = [exchange.websocket_path(SYMBOL), *(fetch.path for fetch in fetches)]
        assert all(path.startswith("/") for path in paths)
        assert not any(address.endswith("/") for address in exchange.endpoints)
        assert all(SYMBOL in fetch.path for fetch in fetched(exchange))

    @EACH
    def test_limits_leave_room_to_work(self, venue: str) -> None:
        exchange = VENUES[venue]
        limits, keepalive = exchange.limits, exchange.keepalive
        fetches = [*exchange.listings(), *fetched(exchange)]
        assert all(0 < fetch.weight < limits.weight_per_minute for fetch in fetches)
        assert len(exchange.streams(SYMBOL)) <= limits.streams_per_message <= limits.streams_per_connection
        assert min(*limits.client_messages, *limits.connects, limits.lifetime_s) > 0
        assert bool(keepalive.message) == (keepalive.every_s > 0)

    @EACH
    @pytest.mark.parametrize("method", ["subscribe", "unsubscribe"])
    def test_what_is_said_names_what_must_acknowledge_it(self, venue: str, method: str) -> None:
        exchange, symbols = VENUES[venue], [f"S{number}USDT" for number in range(120)]
        says = [say for part in in_messages(exchange, symbols) for say in getattr(exchange, method)(part)]
        keys = [key for say in says for key in say.acknowledged_by]

        assert len(says) >= len(symbols) * len(exchange.streams(SYMBOL)) / exchange.limits.streams_per_message
        assert all(say.raw and say.acknowledged_by for say in says)
        assert len(set(keys)) == len(keys), "an acknowledgement belongs to one of them"
        assert says == [say for part in in_messages(exchange, symbols) for say in getattr(exchange, method)(part)]

    @EACH
    @pytest.mark.parametrize("length", [8, 20, 200])
    def test_what_is_said_is_no_longer_than_the_venue_reads(self, venue: str, length: int) -> None:
        exchange, symbols = VENUES[venue], [f"{number:0{length}}USDT" for number in range(240)]
        parts = in_messages(exchange, symbols)
        assert [symbol for part in parts for symbol in part] == symbols
        most = exchange.limits.message_bytes or 10**6
        for method in (exchange.subscribe, exchange.unsubscribe):
            assert max(len(say.raw) for part in parts for say in method(part)) <= most
        assert bool(exchange.limits.message_bytes) == venue.startswith(("binance", "deribit"))

    @EACH
    def test_the_venues_answers_acknowledge_what_was_said(self, venue: str) -> None:
        exchange, talk = VENUES[venue], spoken(venue)
        for method in ("subscribe", "unsubscribe"):
            says = getattr(exchange, method)(talk["symbols"])
            told = [message for raw in talk[method] for message in exchange.parse(heard(raw))]
            assert sorted(key for say in says for key in say.acknowledged_by) == sorted(
                message.key for message in told if isinstance(message, Ack)
            )
        for raw in talk["refused"]:
            (notice,) = exchange.parse(heard(raw))
            assert isinstance(notice, Notice)
            assert notice.kind is NoticeKind.REFUSED
            assert notice.detail
        for raw, reply in talk["heartbeats"]:
            assert Reply(reply.encode()) in exchange.parse(heard(raw))

    @EACH
    @given(frame=st.binary(max_size=300), via=st.sampled_from([Via.WS, Via.REST]))
    def test_bytes_become_messages_or_a_message_error(self, venue: str, frame: bytes, via: Via) -> None:
        with suppress(MessageError):
            assert VENUES[venue].parse(framed(frame, via))

    @EACH
    def test_parsing_keeps_no_state(self, venue: str) -> None:
        lines = [line for line in lines_of(venue) if line.via in (Via.WS, Via.REST)]

        def parsed(order: Iterator[Frame]) -> dict[int, object]:
            found: dict[int, object] = {}
            for line in order:
                try:
                    found[id(line)] = VENUES[venue].parse(line)
                except MessageError as error:
                    found[id(line)] = error.reason
            return found

        assert parsed(iter(lines)) == parsed(reversed(lines))

    def test_a_frame_over_the_bound_is_refused_before_it_is_parsed(self) -> None:
        class NeverParses:
            venue = "never"

            def parse(self, frame: Frame) -> list[VenueMessage]:
                raise AssertionError("parsed")

        router = FrameRouter(NeverParses(), {})  # type: ignore[arg-type]
        router.handle(framed(b"0" * (MAX_FRAME_BYTES + 1)))
        assert router.rejected == {"FrameTooLarge": 1}


class TestFixture:
    @EACH
    def test_metadata_names_what_is_there(self, venue: str) -> None:
        metadata = json.loads((folder(venue) / "metadata.json").read_text())
        assert metadata["venue"] == venue
        assert metadata["synthetic"] is True
        assert metadata["source"]
        assert metadata["licence"]
        for name, sha256 in metadata["sha256"].items():
            assert hashlib.sha256((folder(venue) / name).read_bytes()).hexdigest() == sha256

    def test_the_generator_still_writes_the_committed_fixtures(self, tmp_path: Path) -> None:
        generate = runpy.run_path(str(FIXTURES / "generate.py"))["generate"]
        for venue in sorted(VENUES):
            (bazaar.generate if venue == "bazaar" else generate)(venue, tmp_path / venue)
            for name in ("frames.jsonl", "expected.json", "metadata.json", "talk.json"):
                assert (tmp_path / venue / name).read_bytes() == (folder(venue) / name).read_bytes()

    @EACH
    def test_the_recording_gives_what_its_script_says(self, venue: str) -> None:
        replay, records = replayed(venue)
        script = expected(venue)

        assert replay.router.frames == script["frames"]
        assert dict(replay.router.rejected) == script["rejected"]
        assert dict(replay.router.ignored) == script["ignored"]
        assert sum(isinstance(record, DeadLetter) for record in records) == sum(script["rejected"].values())
        for stream, said in scripted(script, replay.router):
            for name in COUNTED:
                assert getattr(stream.counters, name) == said.get(name, 0), name
            assert (stream.quotes.checked, stream.quotes.wrong) == (said["quotes_checked"], said["quotes_wrong"])
            assert (stream.instrument.tick_size, stream.instrument.lot_size) == (said["tick_size"], said["lot_size"])
            assert stream.instrument.contract_value == said.get("contract_value", "1")
            assert stream.instrument.contract_kind is VENUES[venue].contract_kind(stream.instrument.symbol)
            own = [record for record in records if record.symbol == stream.instrument.symbol]
            assert [
                [record.kind.value, record.sequence, record.previous_sequence, record.reason and record.reason.value]
                for record in own
                if isinstance(record, L2Record)
            ] == said["l2"]
            assert sum(isinstance(record, TradeRecord) for record in own) == said["trades"]

    @EACH
    def test_its_readers_end_with_the_true_books(self, venue: str) -> None:
        replay, records = replayed(venue)
        for stream, said in scripted(expected(venue), replay.router):
            reader = DictReader()
            reader.read(record for record in records if record.symbol == stream.instrument.symbol)

            assert reader.live
            assert reader.sequence == said["last_sequence"]
            assert reader.bids == {Decimal(price): Decimal(size) for price, size in said["bids"]}
            assert reader.asks == {Decimal(price): Decimal(size) for price, size in said["asks"]}

    @EACH
    def test_every_record_survives_the_wire(self, venue: str) -> None:
        for record in replayed(venue)[1]:
            assert decode(encode(record)) == record

    @EACH
    def test_routine_snapshots_agree_with_the_reader_each_time(self, venue: str) -> None:
        replay, records = replayed(venue, routine_snapshot_ns=1)
        for stream, said in scripted(expected(venue), replay.router):
            own = [
                record
                for record in records
                if isinstance(record, L2Record) and record.symbol == stream.instrument.symbol
            ]
            DictReader().read(own)  # the reader compares each with its book
            assert sum(record.kind is Kind.SNAPSHOT for record in own) > said["snapshots"]


class TestTrades:
    """A trade is told from another by the id that the venue gives it, whatever that looks like."""

    @EACH
    def test_each_of_its_trades_has_an_id_of_its_own(self, venue: str) -> None:
        told = [record for record in replayed(venue)[1] if isinstance(record, TradeRecord)]
        ids = [(trade.symbol, trade.trade_id) for trade in told]

        assert len(set(ids)) == len(ids) > 0
        assert not NO_IDS & {trade.trade_id for trade in told}

    @EACH
    def test_trades_that_it_sends_again_are_counted_and_change_nothing(self, venue: str) -> None:
        replay, records = replayed(venue)
        published = {one.trade_id for one in records if isinstance(one, TradeRecord)}
        again = [one for one in self.trades_of(venue) if one.trade_id in published]
        for symbol, stream in replay.router.streams.items():
            stream.kept.trades.drain()
            before, ticks = stream.counters.duplicates, [one for one in again if one.symbol == symbol]

            assert [record for one in ticks for record in stream.on_trade(one, 2 * 10**18)] == []
            assert stream.counters.duplicates - before == len(ticks) == stream.counters.trades
            assert stream.kept.trades.ticks == []

    @EACH
    def test_trades_that_the_log_has_already_are_left_out_from_the_start(self, venue: str) -> None:
        replay, records = replayed(venue)
        told = [record for record in records if isinstance(record, TradeRecord)]
        known = {symbol: [one.trade_id for one in told if one.symbol == symbol] for symbol in replay.router.streams}
        router = FrameRouter(VENUES[venue], replay.found.instruments)
        for symbol, ids in known.items():
            router.handle(Frame(1, Via.KNOWN, raw=json.dumps({"symbol": symbol, "trades": ids[:-1]}).encode()))
        found = [record for line in lines_of(venue) for record in router.handle(line).records]

        assert [one.trade_id for one in found if isinstance(one, TradeRecord)] == [
            one.trade_id for one in told if one.trade_id == known[one.symbol][-1]
        ]

    def trades_of(self, venue: str) -> Iterator[TradeTick]:
        """The trades of the fixture, as the venue tells them."""
        for line in lines_of(venue):
            with suppress(MessageError):
                told = VENUES[venue].parse(line) if line.via is Via.WS else []
                yield from (one for one in told if isinstance(one, TradeTick) and not one.stands_in)


class TestResync:
    """Gap, resync and heartbeat, driven by the venue's own frames."""

    def live(self, venue: str) -> tuple[FrameRouter, list[Frame]]:
        """A router whose book is live, and the lines that come next."""
        replay = RecordingReplay(folder(venue) / "frames.jsonl", VENUES[venue])
        lines = lines_of(venue)
        for number, line in enumerate(lines):
            replay.router.handle(line)
            if next(iter(replay.router.streams.values())).is_live:
                return replay.router, lines[number + 1 :]
        raise AssertionError("the fixture never becomes live")

    def update_of(self, venue: str, line: Frame, symbol: str) -> DepthDelta | None:
        """The update of an instrument that a line holds."""
        with suppress(MessageError):
            for message in VENUES[venue].parse(line):
                if isinstance(message, DepthDelta) and message.symbol == symbol:
                    return message
        return None

    def books(self, records: Sequence[object], symbol: str) -> list[L2Record]:
        return [record for record in records if isinstance(record, L2Record) and record.symbol == symbol]

    @EACH
    def test_a_lost_update_is_a_gap_that_a_snapshot_heals(self, venue: str) -> None:
        router, lines = self.live(venue)
        stream, exchange = next(iter(router.streams.values())), VENUES[venue]
        symbol, epoch = stream.instrument.symbol, stream.epoch
        updates = [line for line in lines if self.update_of(venue, line, symbol)]

        records = router.handle(updates[1]).records  # the first one is lost
        assert [record.reason for record in self.books(records, symbol)] == [Reason.GAP]
        assert stream.needs_snapshot is Reason.GAP
        assert self.books(router.handle(updates[2]).records, symbol) == []

        lost = self.update_of(venue, updates[1], symbol)
        assert lost is not None
        origin = SnapshotOrigin.FETCHED if isinstance(exchange.recover(symbol), Fetch) else SnapshotOrigin.IN_STREAM
        whole = DepthSnapshot(symbol, lost.last_sequence, [], [], origin=origin)
        healed = stream.on_snapshot(whole, updates[2].received_ns)
        assert stream.is_live
        assert stream.needs_snapshot is None
        assert stream.epoch > epoch
        assert self.books(healed, symbol)[0].kind is Kind.SNAPSHOT

    @EACH
    def test_a_request_is_answered_from_memory_and_an_outdated_one_is_not(self, venue: str) -> None:
        router, _ = self.live(venue)
        stream = next(iter(router.streams.values()))
        request = ResyncRequest(venue, stream.instrument.symbol, Reason.GAP, stream.epoch, 0, 5)

        assert stream.on_resync_request(request, 0, outdated=True) == []
        (answer,) = stream.on_resync_request(request, 0, outdated=False)
        assert isinstance(answer, L2Record)
        assert (answer.kind, answer.epoch, answer.sequence) == (Kind.SNAPSHOT, stream.epoch, stream.tracked.sequence)

    @EACH
    def test_a_quiet_feed_beats_and_then_goes_stale(self, venue: str) -> None:
        router, _ = self.live(venue)
        stream = next(iter(router.streams.values()))
        now = 2 * 10**18

        (stale,) = stream.feed.on_heartbeat(now)
        (beat,) = stream.feed.on_heartbeat(now + 1)
        assert isinstance(stale, FeedStatus)
        assert isinstance(beat, FeedStatus)
        assert (stale.state, stale.heartbeat, beat.state, beat.heartbeat) == (
            FeedState.STALE,
            False,
            FeedState.STALE,
            True,
        )
