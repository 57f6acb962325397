"""The recordings and what their only snapshot knew: no factor says more, and books fetched beside keep it known."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from obflow.settings import Settings
from producers.books.options import StreamOptions
from producers.books.router import FrameRouter
from producers.exchanges import EXCHANGES
from producers.messages import BestQuote, DepthSnapshot, Frame
from producers.recordings.reader import scan
from producers.recordings.recording import Recording
from producers.settings import ProducerSettings
from research.replay import open_replay
from schemas.factors import FACTOR_INDEX
from schemas.messages import Coverage, Kind, L2Record, Status
from schemas.units import NS_PER_MS
from tests.processors.compare import compare
from tests.processors.feed import ENGINE
from tests.support.tiers import tiered

pytestmark = [pytest.mark.recorded, pytest.mark.slow]

NAME = "BTCUSDT-20240808.frames.jsonl.gz"
VENUES = ("binance", "binance-futures")
STRIDE = {"binance-futures": 200, "binance": 100}
LEVELS = 1_000
ANSWER_NS = 150 * NS_PER_MS
"""How long an answer over REST takes."""


@pytest.fixture(scope="module", params=tiered(VENUES, "binance"))
def venue(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def snapshot_of(path: Path) -> dict[str, list[list[str]]]:
    for line in gzip.decompress(path.read_bytes()).splitlines():
        frame = json.loads(line)
        if frame["via"] == "rest" and "lastUpdateId" in frame["raw"]:
            found: dict[str, list[list[str]]] = json.loads(frame["raw"])
            return found
    raise AssertionError("the recording holds no book")


def test_no_factor_reads_a_price_beyond_what_the_snapshot_knew(recordings: Path, venue: str) -> None:
    """By the brute force, which keeps the range itself and finds every null where ours is."""
    path = recordings / venue / NAME
    replay = open_replay(path, EXCHANGES[venue], Settings())
    records = [record for record in replay.records() if isinstance(record, L2Record)]
    [instrument] = replay.found.instruments.values()
    whole = snapshot_of(path)
    tick = float(instrument.tick_size)
    lowest = round(min(float(price) for price, _ in whole["bids"]) / tick)
    highest = round(max(float(price) for price, _ in whole["asks"]) / tick)

    snapshots = [record for record in records if record.kind is Kind.SNAPSHOT]
    assert {record.coverage for record in snapshots} == {Coverage.RANGE}
    assert {(record.bid_known_ticks, record.ask_known_ticks) for record in snapshots} == {(lowest, highest)}
    stride = 20 if os.environ.get("OBFLOW_FUZZ") == "all" else STRIDE[venue]
    compare(records, is_wanted=lambda row: row < 60 or row % stride == 0)

    events = ENGINE.step(ENGINE.fresh(), range(len(records)), records)
    known = [FACTOR_INDEX[f"{side}_known_bps"] for side in ("bid", "ask")]
    for status, values in zip(events.status, events.values, strict=True):
        if status is Status.OK:
            for side, at in zip(("bid", "ask"), known, strict=True):
                left = values[at]
                assert left is not None
                assert left >= 0
                for bps in (5, 10, 25):
                    band = values[FACTOR_INDEX[f"{side}_depth_{bps}bps"]]
                    assert (band is None) == (left < bps) or abs(left - bps) < 0.05


class Played(NamedTuple):
    """A recording with a venue that answers."""

    records: list[L2Record]
    requests: int
    wrong: int


def play(path: Path, venue: str, known_bps: float) -> Played:
    """Feed a recording to a producer that may fetch: the venue's book is the recording's own, cut to 1,000 levels."""
    exchange = EXCHANGES[venue]
    found = scan(Recording(path), exchange)
    router = FrameRouter(exchange, found.instruments, StreamOptions(known_bps=known_bps))
    [stream] = router.streams.values()
    truth, requests, records = Truth(), 0, []
    answer: tuple[int, DepthSnapshot] | None = None
    for frame in Recording(path).frames():
        if answer is not None and answer[0] <= frame.received_ns:
            records += stream.on_snapshot(answer[1], frame.received_ns)
            answer = None
        records += router.handle(frame).records
        truth.take(frame)
        is_wanted = stream.needs_snapshot if stream.epoch else None
        if answer is None and (is_wanted or stream.wants_book_beside(frame.received_ns)):
            requests += 1
            answer = frame.received_ns + ANSWER_NS, truth.book()
    assert stream.counters.levels_compared > 0 or not known_bps
    return Played([one for one in records if isinstance(one, L2Record)], requests, stream.counters.levels_wrong)


class Truth:
    """The venue's book, read plainly: updates that came before the snapshot and are newer count, too."""

    def __init__(self) -> None:
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}
        self.sequence = 0
        self.early: list[dict[str, Any]] = []

    def take(self, frame: Frame) -> None:
        data = json.loads(frame.raw)
        if "lastUpdateId" in data:
            self.bids, self.asks, self.sequence = dict(data["bids"]), dict(data["asks"]), data["lastUpdateId"]
            for update in self.early:
                self._apply(update)
        elif data.get("data", {}).get("e") == "depthUpdate":
            if self.sequence:
                self._apply(data["data"])
            else:
                self.early.append(data["data"])

    def _apply(self, update: dict[str, Any]) -> None:
        if update["u"] > self.sequence:
            self.bids.update(dict(update["b"]))
            self.asks.update(dict(update["a"]))
            self.sequence = update["u"]

    def book(self) -> DepthSnapshot:
        bids = sorted(self._levels(self.bids), key=lambda level: -float(level[0]))[:LEVELS]
        asks = sorted(self._levels(self.asks), key=lambda level: float(level[0]))[:LEVELS]
        return DepthSnapshot("BTCUSDT", self.sequence, bids, asks, coverage=Coverage.RANGE)

    @staticmethod
    def _levels(side: dict[str, str]) -> Iterator[tuple[str, str]]:
        return ((price, size) for price, size in side.items() if float(size))


def narrow(records: list[L2Record]) -> tuple[int, int]:
    """Events with a band of 10 bps that is null, and all."""
    events = ENGINE.step(ENGINE.fresh(), range(len(records)), records)
    bands = [FACTOR_INDEX["bid_depth_10bps"], FACTOR_INDEX["ask_depth_10bps"]]
    return sum(any(values[band] is None for band in bands) for values in events.values), len(events)


def test_books_fetched_beside_keep_the_wanted_range_known(recordings: Path, venue: str) -> None:
    path = recordings / venue / NAME
    played = play(path, venue, ProducerSettings().known_bps)
    nulls, events = narrow(played.records)

    assert nulls <= events / 100
    assert played.wrong == 0
    assert 1 <= played.requests <= 12  # in 345 s
    without, of_all = narrow(play(path, venue, 0.0).records)
    assert without > of_all / 20


def test_the_best_quotes_of_a_recording_never_contradict_its_book(recordings: Path, venue: str) -> None:
    """Neither by id, nor by time alone."""
    exchange = EXCHANGES[venue]
    found = scan(Recording(recordings / venue / NAME), exchange)
    router = FrameRouter(exchange, found.instruments)
    [stream] = router.streams.values()
    for frame in Recording(recordings / venue / NAME).frames():
        if b"bookTicker" in frame.raw:
            [quote] = exchange.parse(frame)
            assert isinstance(quote, BestQuote)
            stream.on_quote(replace(quote, sequence=None), frame.received_ns)
        else:
            router.handle(frame)
    assert stream.quotes.compared > 1_000
    assert stream.counters.contradicted == 0
