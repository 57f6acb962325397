"""The recorded sessions of Bybit, OKX and Deribit: golden files, chains, checksums; and a public normaliser's pairs."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from obflow.settings import Settings
from producers.exchanges import EXCHANGES
from producers.messages import BestQuote, DepthDelta, DepthSnapshot, Frame, TradeTick, VenueMessage, Via
from research.replay import open_replay
from research.verify import RecordingReport, verify
from schemas.errors import MessageError

pytestmark = pytest.mark.recorded

Json = dict[str, Any]


def verified(recordings: Path, venue: str, name: str) -> RecordingReport:
    path = recordings / venue / f"{name}.frames.jsonl.gz"
    return verify(open_replay(path, EXCHANGES[venue], Settings()))


def golden(recordings: Path, venue: str, name: str) -> Json:
    found: Json = json.loads((recordings / venue / f"{name}.golden.json").read_text())
    return found


def exact(levels: list[Any]) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(str(price)), Decimal(str(size))) for price, size in levels]


def test_every_checksum_of_okx_is_the_books_own(recordings: Path) -> None:
    report, expected = (read(recordings, "okx", "books-20220513") for read in (verified, golden))
    assert (report["rejected"], report["problems"]) == ({}, [])
    assert set(report["instruments"]) == set(expected)
    for symbol, said in expected.items():
        book = report["instruments"][symbol]
        assert (book["checksums_ok"], book["checksums_bad"]) == (said["checksum_ok"], 0) == (said["messages"], 0)
        assert (book["snapshots"], book["deltas_applied"]) == (1, said["messages"] - 1)
        assert (book["gaps"], book["crossed"], book["last_sequence"]) == (0, 0, int(said["last_ts"]))
        assert [book["bid_levels"], book["ask_levels"]] == said["final_levels"]
        assert exact(book["best_bids"]) == exact(said["final_top5_bids"])
        assert exact(book["best_asks"]) == exact(said["final_top5_asks"])
    assert sum(book["checksums_ok"] for book in report["instruments"].values()) == 290


def test_deribits_chains_have_no_gap(recordings: Path) -> None:
    report, expected = (read(recordings, "deribit", "options-20210722") for read in (verified, golden))
    assert (report["rejected"], report["problems"]) == ({}, [])
    assert set(report["instruments"]) == set(expected)
    for symbol, said in expected.items():
        book = report["instruments"][symbol]
        assert (book["snapshots"], book["deltas_applied"], book["gaps"]) == (1, said["messages"] - 1, 0)
        assert book["last_sequence"] == said["last_change_id"]
        assert exact(book["best_bids"]) == exact(said["final_bids"])
        assert exact(book["best_asks"]) == exact(said["final_asks"])


def test_bybits_numbers_rise_by_one(recordings: Path) -> None:
    report = verified(recordings, "bybit", "XRPUSDT-orderbook500-20241201")
    book = report["instruments"]["XRPUSDT"]
    assert (report["rejected"], report["problems"]) == ({}, [])
    assert (book["snapshots"], book["deltas_applied"], book["gaps"], book["duplicates"]) == (1, 49, 0, 0)
    assert (book["bid_levels"], book["ask_levels"]) == (500, 500)


def test_a_repeated_number_of_bybits_best_quote_says_the_same_again(recordings: Path) -> None:
    path = recordings / "bybit" / "orderbook1-20250816.frames.jsonl.gz"
    quotes: dict[tuple[str, int], VenueMessage] = {}
    seen: Counter[tuple[str, int]] = Counter()
    for line in gzip.decompress(path.read_bytes()).splitlines():
        raw = json.loads(line)["raw"]
        said = json.loads(raw)
        (message,) = EXCHANGES["bybit"].parse(Frame(1, Via.WS, raw=raw.encode()))
        if "topic" in said:
            assert isinstance(message, BestQuote)
            number = said["data"]["s"], said["data"]["u"]
            assert quotes.setdefault(number, message) == message
            seen[number] += 1
    assert (seen.total(), seen.total() - len(seen)) == (198, 16)

    report = verified(recordings, "bybit", "orderbook1-20250816")  # there is no other book of these
    books = report["instruments"].values()
    assert (report["rejected"], report["problems"]) == ({}, [])
    assert sum(book["snapshots"] for book in books) == 182
    assert sum(book["duplicates"] for book in books) == 16
    assert {(book["bid_levels"], book["ask_levels"]) for book in books} == {(1, 1)}


SHUT_DOWN = {"bybit": ("orderBook", "instrument_info", "trade"), "okex-swap": ("swap_",), "deribit": ("none",)}
"""Channels of protocols that the venues do not speak any more."""
TICKERS = ("ticker", "tickers")
"""Where the normaliser took best quotes from before the venues had channels of them; ours come from those alone."""
QUOTES_NOT_TOLD = {("deribit", "quote"), ("okex-swap", "bbo-tbt")}
"""Best quotes that it leaves out, on OKX until it knew the channel."""
ONE_SIDED = 7_003_306
"""`u` of the one best quote that needs the one before it."""


def comparable(message: Json) -> tuple[object, ...] | None:
    """What the normaliser says, as a tuple; None where it is not of books, trades or best quotes."""
    kind, symbol = message["type"], message["symbol"]
    time = message["timestamp"].rstrip("Z")
    if kind == "trade":
        deal = Decimal(str(message["price"])), Decimal(str(message["amount"]))
        return (kind, symbol, message["id"], *deal, message["side"], time)
    if kind == "book_ticker":
        names = ("bidPrice", "bidAmount", "askPrice", "askAmount")
        return (kind, symbol, *(Decimal(str(message[name] or 0)) for name in names))
    if kind == "book_change":
        sides = (
            [(Decimal(str(level["price"])), Decimal(str(level["amount"]))) for level in message[side]]
            for side in ("bids", "asks")
        )
        return (kind, symbol, message["isSnapshot"], *sides, time)
    return None


def ours(message: VenueMessage) -> tuple[object, ...] | None:
    """The same of ours."""
    if isinstance(message, TradeTick):
        side = "buy" if message.buyer_is_aggressor else "sell"
        deal = Decimal(message.price), Decimal(message.size)
        return ("trade", message.symbol, message.trade_id, *deal, side, iso(message.exchange_ns))
    if isinstance(message, BestQuote):
        numbers = (message.bid, message.bid_size, message.ask, message.ask_size)
        return ("book_ticker", message.symbol, *map(Decimal, numbers))
    if isinstance(message, DepthDelta | DepthSnapshot):
        whole = isinstance(message, DepthSnapshot)
        return (
            "book_change",
            message.symbol,
            whole,
            exact(message.bids),
            exact(message.asks),
            iso(message.exchange_ns),
        )  # type: ignore[arg-type]
    return None


def iso(ns: int | None) -> str:
    assert ns is not None
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")


@pytest.mark.parametrize("name", ["bybit", "okex-swap", "deribit"])
def test_a_public_normaliser_says_the_same_of_each_frame(recordings: Path, name: str) -> None:
    exchange = EXCHANGES["okx" if name == "okex-swap" else name]
    compared = 0
    for pair in json.loads((recordings / "normalized-pairs" / f"{name}.json").read_text()):
        frame = Frame(1, Via.WS, raw=json.dumps(pair["raw"]).encode())
        if pair["channel"].startswith(SHUT_DOWN[name]):
            with pytest.raises(MessageError):
                exchange.parse(frame)
            continue
        found = [said for message in exchange.parse(frame) if (said := ours(message))]
        wanted = [said for message in pair["expected"] if (said := comparable(message))]
        is_quote = bool(found or wanted) and (found or wanted)[0][0] == "book_ticker"
        if (is_quote and f'"u": {ONE_SIDED},' in json.dumps(pair["raw"])) or pair["channel"] in TICKERS:
            assert found == []
        elif is_quote and not wanted:
            assert (name, pair["channel"]) in QUOTES_NOT_TOLD
        else:
            assert found == wanted
            compared += len(wanted)
    assert compared == {"bybit": 8, "okex-swap": 3, "deribit": 8}[name]
