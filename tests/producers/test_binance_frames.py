"""Binance's frames to messages: both venues' shapes, the published samples, what another normaliser made of them."""

from __future__ import annotations

import json
import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from msgspec.structs import replace

from producers.contract import Exchange, damaged_symbol
from producers.exchanges import EXCHANGES
from producers.exchanges.binance.spot import BINANCE
from producers.exchanges.binance.usd_m import BINANCE_FUTURES
from producers.messages import (
    Ack,
    BestQuote,
    DepthDelta,
    DepthSnapshot,
    DerivativeTick,
    Ignored,
    InstrumentList,
    Notice,
    NoticeKind,
    TradeTick,
    VenueMessage,
    Via,
)
from schemas.errors import DecodeError, InvalidNumber, MessageError, UnknownMessage
from schemas.messages import ContractKind, Coverage
from tests.producers.messages import framed

SPOT, FUTURES = BINANCE, BINANCE_FUTURES
BOTH = pytest.mark.parametrize("exchange", [SPOT, FUTURES], ids=lambda exchange: exchange.venue)

DEPTH: dict[str, Any] = {
    "e": "depthUpdate", "E": 1723161256299, "T": 1723161256298, "s": "BTCUSDT", "U": 10, "u": 12, "pu": 9,
    "b": [["61800.20", "0.014"]], "a": [["61800.30", "0.000"]],
}  # fmt: skip
TRADE: dict[str, Any] = {
    "e": "trade", "E": 1723161256322, "T": 1723161256321, "s": "BTCUSDT", "t": 77, "p": "61800.30", "q": "0.006",
    "X": "MARKET", "m": False,
}  # fmt: skip
QUOTE: dict[str, Any] = {"u": 5, "s": "BTCUSDT", "b": "1.0", "B": "2.0", "a": "3.0", "A": "4.0"}


def wrapped(stream: str, data: object) -> bytes:
    return json.dumps({"stream": stream, "data": data}).encode()


def one(exchange: Exchange, frame: object, via: Via = Via.WS, request: str = "") -> VenueMessage:
    raw = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
    (message,) = exchange.parse(framed(raw, via, request=request))
    return message


class TestDepth:
    def test_a_futures_update_carries_pu_and_the_matching_time(self) -> None:
        assert one(FUTURES, wrapped("btcusdt@depth@0ms", DEPTH)) == DepthDelta(
            "BTCUSDT", 10, 12, [("61800.20", "0.014")], [("61800.30", "0.000")], 9, 1723161256298 * 10**6
        )

    def test_a_spot_update_has_neither(self) -> None:
        spot = {key: value for key, value in DEPTH.items() if key not in ("T", "pu")}
        message = one(SPOT, wrapped("btcusdt@depth@100ms", spot))
        assert isinstance(message, DepthDelta)
        assert (message.previous_sequence, message.exchange_ns) == (None, 1723161256299 * 10**6)

    @BOTH
    def test_an_update_needs_no_envelope(self, exchange: Exchange) -> None:
        assert one(exchange, DEPTH) == one(exchange, wrapped("btcusdt@depth", DEPTH))

    def test_microseconds_are_told_by_their_size(self) -> None:
        message = one(SPOT, DEPTH | {"E": 1723161256299123, "T": 1723161256298765})
        assert isinstance(message, DepthDelta)
        assert message.exchange_ns == 1723161256298765 * 1000

    @BOTH
    def test_fields_that_are_new_to_us_are_ignored(self, exchange: Exchange) -> None:
        assert one(exchange, DEPTH | {"st": 1, "ps": "BTCUSDT", "new": {"deep": [1]}}) == one(exchange, DEPTH)

    @BOTH
    @pytest.mark.parametrize(
        "changes",
        [
            {"b": None},
            {"a": {}},
            {"b": [["1"]]},
            {"b": [["1", ["2"]]]},
            {"b": [[1.5, "2"]]},
            {"b": ["12"]},
            {"U": "10"},
            {"U": 13},  # u below U
            {"U": -1},
            {"u": 2**63},
            {"E": 10**30},
            {"s": None},
            {"e": "depthUpdat"},
        ],
    )
    def test_an_update_out_of_shape_is_refused_and_names_the_book_it_damages(
        self,
        exchange: Exchange,
        changes: dict[str, object],
    ) -> None:
        with pytest.raises((DecodeError, UnknownMessage)) as raised:
            exchange.parse(framed(wrapped("btcusdt@depth@100ms", DEPTH | changes), Via.WS))
        assert damaged_symbol(raised.value) == "BTCUSDT"

    @BOTH
    @pytest.mark.parametrize("missing", ["b", "a", "U", "u", "s", "E"])
    def test_an_update_without_a_field_is_refused_and_names_the_book_it_damages(
        self,
        exchange: Exchange,
        missing: str,
    ) -> None:
        cut = {key: value for key, value in DEPTH.items() if key != missing}
        with pytest.raises(DecodeError) as raised:
            exchange.parse(framed(wrapped("btcusdt@depth@100ms", cut), Via.WS))
        assert damaged_symbol(raised.value) == "BTCUSDT"

    def test_a_futures_update_without_pu_cannot_be_placed(self) -> None:
        cut = {key: value for key, value in DEPTH.items() if key != "pu"}
        with pytest.raises(DecodeError):
            FUTURES.parse(framed(json.dumps(cut).encode(), Via.WS))

    @BOTH
    @pytest.mark.parametrize("kind", ["depth5", "depth10", "depth20", "rpiDepth"])
    def test_other_depth_streams_are_passed_over_and_not_mistaken_for_differences(
        self, exchange: Exchange, kind: str
    ) -> None:
        assert one(exchange, wrapped(f"btcusdt@{kind}@100ms", DEPTH)) == Ignored(kind)
        assert one(exchange, wrapped(f"btcusdt@{kind}", {"lastUpdateId": 1, "bids": [], "asks": []})) == Ignored(kind)

    @BOTH
    @pytest.mark.parametrize("more", [[[]], [None], ["0"], [{}], [3, "x"]], ids=str)
    def test_a_third_element_of_a_level_and_any_after_it_is_passed_over(
        self, exchange: Exchange, more: list[Any]
    ) -> None:
        old = DEPTH | {"b": [["61800.20", "0.014", *more]], "a": [["61800.30", "0.000", *more], ["61800.40", "1"]]}
        expected = one(exchange, DEPTH | {"a": [["61800.30", "0.000"], ["61800.40", "1"]]})
        assert one(exchange, wrapped("btcusdt@depth", old)) == one(exchange, old) == expected

    @BOTH
    @pytest.mark.parametrize("more", [[[]], [None], ["0"], [{}], [3, "x"]], ids=str)
    def test_a_snapshots_levels_may_have_more_elements_too(self, exchange: Exchange, more: list[Any]) -> None:
        body = {"lastUpdateId": 9, "bids": [["1.0", "2.0", *more]], "asks": [["3.0", "4.0", *more]]}
        told = DepthSnapshot("BTCUSDT", 9, [("1.0", "2.0")], [("3.0", "4.0")], coverage=Coverage.RANGE)
        assert one(exchange, body, Via.REST, f"{exchange.recover('BTCUSDT').path}") == told  # type: ignore[union-attr]
        assert one(exchange, body | {"symbol": "BTCUSDT"}, Via.REST, "") == told  # whose request was not kept


class TestTrades:
    @pytest.mark.parametrize(("seller_took", "buyer_is_aggressor"), [(True, False), (False, True)])
    def test_m_says_that_the_buyer_was_the_maker(self, seller_took: bool, buyer_is_aggressor: bool) -> None:
        message = one(SPOT, wrapped("btcusdt@trade", TRADE | {"m": seller_took}))
        assert message == TradeTick("BTCUSDT", "77", "61800.30", "0.006", buyer_is_aggressor, 1723161256321 * 10**6)

    @pytest.mark.parametrize("kind", ["INSURANCE_FUND", "ADL", "NA"])
    def test_futures_trades_beside_the_market_are_counted_and_left_out(self, kind: str) -> None:
        assert one(FUTURES, wrapped("btcusdt@trade", TRADE | {"X": kind})) == Ignored(f"trade_{kind.lower()}")
        assert isinstance(one(SPOT, wrapped("btcusdt@trade", TRADE | {"X": kind})), TradeTick)

    def test_an_old_futures_trade_does_not_say_its_kind(self) -> None:
        old = {key: value for key, value in TRADE.items() if key != "X"}
        assert isinstance(one(FUTURES, old), TradeTick)

    @BOTH
    def test_an_aggregate_stands_in_for_trades_under_the_last_of_their_ids(self, exchange: Exchange) -> None:
        event = {key: value for key, value in TRADE.items() if key not in ("t", "X")}
        message = one(exchange, wrapped("btcusdt@aggTrade", event | {"e": "aggTrade", "a": 5, "f": 70, "l": 77}))
        expected = TradeTick("BTCUSDT", "77", "61800.30", "0.006", True, 1723161256321 * 10**6, "aggTrade")
        assert message == expected

    @BOTH
    def test_a_bad_trade_damages_no_book(self, exchange: Exchange) -> None:
        with pytest.raises(DecodeError) as raised:
            exchange.parse(framed(wrapped("btcusdt@trade", TRADE | {"p": 1.5}), Via.WS))
        assert damaged_symbol(raised.value) == ""


class TestOther:
    @BOTH
    @pytest.mark.parametrize("event", [{}, {"e": "bookTicker", "E": 1, "T": 1}])
    def test_a_best_quote_is_known_with_and_without_its_type(
        self, exchange: Exchange, event: dict[str, object]
    ) -> None:
        expected = BestQuote("BTCUSDT", "1.0", "2.0", "3.0", "4.0", 5)
        assert one(exchange, wrapped("btcusdt@bookTicker", QUOTE | event)) == expected
        assert one(exchange, QUOTE | event) == expected

    @BOTH
    @pytest.mark.parametrize("nothing", [None, "", "0", "0.00000000"])
    def test_a_side_without_orders_is_written_in_several_ways(self, exchange: Exchange, nothing: str | None) -> None:
        quote = one(exchange, wrapped("btcusdt@bookTicker", QUOTE | {"a": nothing, "A": nothing}))
        assert isinstance(quote, BestQuote)
        assert (quote.bid, quote.bid_size) == ("1.0", "2.0")
        assert {quote.ask.strip("0."), quote.ask_size.strip("0.")} == {""}
        assert quote.ask

    @BOTH
    def test_a_few_levels_without_the_name_of_a_stream_are_passed_over(self, exchange: Exchange) -> None:
        few = b'{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}'
        assert one(exchange, few) == Ignored("partial_depth")

    @BOTH
    @pytest.mark.parametrize("kind", ["aggTrade", "kline_1m", "ticker", "forceOrder"])
    def test_channels_we_do_not_use_are_ignored_by_name(self, exchange: Exchange, kind: str) -> None:
        assert one(exchange, wrapped(f"btcusdt@{kind}", {"anything": 1})) == Ignored(kind.partition("_")[0])

    @BOTH
    @pytest.mark.parametrize(
        ("frame", "kind"),
        [
            (wrapped("!ticker@arr", [{"e": "24hrTicker"}]), "ticker"),
            (wrapped("!miniTicker@arr@3000ms", []), "miniTicker"),
            (wrapped("!ticker_1h@arr", [{"e": "1hTicker"}]), "ticker"),
            (wrapped("!markPrice@arr@1s", [{"e": "markPriceUpdate"}]), "markPrice"),
            (wrapped("!forceOrder@arr", {"e": "forceOrder"}), "forceOrder"),
            (wrapped("!contractInfo", {"e": "contractInfo"}), "contractInfo"),
            (wrapped("!bookTicker", QUOTE | {"s": "NOBODYS"}), "bookTicker"),
            (wrapped("btcusdt_perpetual@continuousKline_1m", {"e": "continuous_kline"}), "continuousKline"),
            (wrapped("btcusd@indexPriceKline_1m", {"e": "indexPrice_kline"}), "indexPriceKline"),
            (wrapped("btcusdt@kline_1m@+08:00", {"e": "kline"}), "kline"),
            (b'{"e":"indexPriceUpdate","i":"BTCUSD"}', "indexPriceUpdate"),
            (b'{"e":"4hTicker","s":"BTCUSDT"}', "4hTicker"),
            (b'[{"e":"24hrMiniTicker","s":"BTCUSDT"},{"e":"24hrMiniTicker","s":"ETHUSDT"}]', "24hrMiniTicker"),
        ],
    )
    def test_documented_channels_are_passed_over_in_every_wrapping(
        self, exchange: Exchange, frame: bytes, kind: str
    ) -> None:
        assert one(exchange, frame) == Ignored(kind)

    @BOTH
    @pytest.mark.parametrize(
        "frame",
        [
            wrapped("btcusdt@mystery", {"e": "mystery"}),
            b'{"e":"mystery","s":"BTCUSDT"}',
            b"{}",
            b'{"hello":"world"}',
            b'{"id":1}',
        ],
    )
    def test_a_message_of_no_known_kind_is_refused(self, exchange: Exchange, frame: bytes) -> None:
        with pytest.raises(UnknownMessage):
            exchange.parse(framed(frame, Via.WS))

    @BOTH
    @pytest.mark.parametrize(
        "frame",
        [
            b"", b" ", b"hello", b"{", b"[]", b"null", b"1", b'"text"', b"\xff\xfe", b'{"e":"\xff"}',
            b'{"e":NaN}', b"[" * 100_000, b'{"stream":"btcusdt@depth","data":{"e":"depthUpdate"', b'{"stream":5}',
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("via", [Via.WS, Via.REST])
    def test_what_is_not_a_json_object_is_refused(self, exchange: Exchange, frame: bytes, via: Via) -> None:
        with pytest.raises((DecodeError, UnknownMessage)) as raised:
            exchange.parse(framed(frame, via))
        assert damaged_symbol(raised.value) == ""

    @BOTH
    def test_answers_to_requests_are_told_to_the_edge(self, exchange: Exchange) -> None:
        assert one(exchange, b'{"result":null,"id":7}') == Ack("7")
        assert one(exchange, b'{"result":null,"id":"7"}') == Ack("7")
        assert one(exchange, b'{"result":["btcusdt@depth"],"id":"9dd0-ab"}') == Ack("9dd0-ab")
        assert one(exchange, b'{"result":null,"id":null}') == Ack("")
        told = one(exchange, b'{"id":"x","status":418,"error":{"code":-1003,"msg":"IP banned until 1659146400000."}}')
        assert isinstance(told, Notice)
        assert told.kind is NoticeKind.TOO_MANY
        refused = one(exchange, b'{"error":{"code":2,"msg":"Invalid request"},"id":7}')
        assert isinstance(refused, Notice)
        assert refused.kind is NoticeKind.REFUSED
        assert "Invalid request" in refused.detail
        banned = one(exchange, b'{"code":-1003,"msg":"Too many requests"}', Via.REST)
        assert banned == Notice(NoticeKind.TOO_MANY, "-1003 Too many requests")

    @BOTH
    @pytest.mark.parametrize(
        "wrapping",
        [
            "%s",
            '{"event":%s}',
            '{"subscriptionId":0,"event":%s}',
            '{"stream":"","data":%s}',
            '{"stream":"serverShutdown","data":%s}',
            '{"stream":"btcusdt@depth@100ms","data":%s}',
            '{"data":%s}',
            '{"stream":null,"data":%s}',
            '{"stream":7,"event":%s}',
            "[%s]",
        ],
    )
    def test_a_shutdown_is_announced_in_every_wrapping(self, exchange: Exchange, wrapping: str) -> None:
        told = one(exchange, (wrapping % '{"e":"serverShutdown","E":1723161256299}').encode())
        assert isinstance(told, Notice)
        assert told.kind is NoticeKind.SERVER_SHUTDOWN


class TestRest:
    def test_a_snapshot_is_named_by_its_request(self) -> None:
        body = {"lastUpdateId": 9, "E": 5, "T": 4, "bids": [["1.0", "2.0"]], "asks": []}
        request = FUTURES.recover("BTCUSDT").path
        told = DepthSnapshot("BTCUSDT", 9, [("1.0", "2.0")], [], 4_000_000, coverage=Coverage.RANGE)
        assert one(FUTURES, body, Via.REST, request) == told
        assert one(FUTURES, body, Via.REST) == replace(told, symbol=None)

    def test_a_snapshot_that_names_its_instrument_needs_no_request(self) -> None:
        body = {"lastUpdateId": 9, "symbol": "BTCUSD_PERP", "pair": "BTCUSD", "bids": [], "asks": []}
        message = one(FUTURES, body, Via.REST)
        assert isinstance(message, DepthSnapshot)
        assert message.symbol == "BTCUSD_PERP"

    def test_a_spot_snapshot_has_no_time(self) -> None:
        message = one(SPOT, {"lastUpdateId": 9, "bids": [], "asks": []}, Via.REST)
        assert isinstance(message, DepthSnapshot)
        assert message.exchange_ns is None

    @BOTH
    @pytest.mark.parametrize("body", [{"lastUpdateId": 9}, {"lastUpdateId": 9, "bids": None, "asks": []}, {"x": 1}])
    def test_an_answer_out_of_shape_is_refused_and_damages_no_book(
        self,
        exchange: Exchange,
        body: dict[str, object],
    ) -> None:
        with pytest.raises(MessageError) as raised:
            exchange.parse(framed(json.dumps(body).encode(), Via.REST, request=exchange.recover("BTCUSDT").path))
        assert damaged_symbol(raised.value) == ""

    def test_the_instrument_list_gives_the_grid_of_the_filters(self) -> None:
        listed = {
            "symbols": [
                entry("BTCUSDT", "0.10", "0.001", contractType="PERPETUAL"),
                entry("BTCUSDT_240927", "0.1", "0.001", contractType="CURRENT_QUARTER"),
                entry("BROKEN", "0.00", "1"),
                entry("NOFILTER", "1", "1") | {"filters": []},
            ]
        }
        message = one(FUTURES, listed, Via.REST)
        assert isinstance(message, InstrumentList)
        assert [(found.symbol, found.tick_size, found.lot_size, found.canonical) for found in message.instruments] == [
            ("BTCUSDT", "0.1", "0.001", "BTC-USDT-PERP"),
            ("BTCUSDT_240927", "0.1", "0.001", "BTC-USDT-240927"),
        ]
        assert {found.contract_kind for found in message.instruments} == {ContractKind.LINEAR}
        assert message.unreadable == ("BROKEN", "NOFILTER")

    @pytest.mark.parametrize("odd", [{"symbol": "ODD"}, {"symbol": "ODD", "filters": 1}, {}, [], "x", None, 7])
    def test_an_entry_of_another_shape_hides_no_other(self, odd: object) -> None:
        listed = [entry("BTCUSDT", "0.10", "0.001"), odd, entry("ETHUSDT", "0.01", "0.001")]
        message = one(FUTURES, {"symbols": listed}, Via.REST)
        assert isinstance(message, InstrumentList)
        assert [found.symbol for found in message.instruments] == ["BTCUSDT", "ETHUSDT"]
        assert message.unreadable == ("ODD" if isinstance(odd, dict) and odd else "",)

    def test_an_inverse_contract_without_its_size_is_not_taken_for_one_dollar(self) -> None:
        listed = [entry("BTCUSD_PERP", "0.1", "1", contractSize=100), entry("ETHUSD_PERP", "0.01", "1")]
        message = one(EXCHANGES["binance-delivery"], {"symbols": listed}, Via.REST)
        assert isinstance(message, InstrumentList)
        assert [found.contract_value for found in message.instruments] == ["100"]
        assert message.unreadable == ("ETHUSD_PERP",)

    def test_a_contract_of_more_than_one_unit_says_so(self) -> None:
        listed = [entry("BTCUSDT", "0.1", "1", contractSize=100), entry("ETHUSDT", "0.1", "1", contractSize=0)]
        message = one(FUTURES, {"symbols": [*listed, entry("SOLUSDT", "0.1", "1")]}, Via.REST)
        assert isinstance(message, InstrumentList)
        assert [(found.symbol, found.contract_value) for found in message.instruments] == [
            ("BTCUSDT", "100"),
            ("SOLUSDT", "1"),
        ]
        assert message.unreadable == ("ETHUSDT",)

    def test_spot_is_asked_for_the_named_instruments_alone_and_the_futures_for_all(self) -> None:
        symbols = ["BTCUSDT", "币安人生USDT"]
        path, query = SPOT.listings(symbols)[0].path.split("?")
        assert path == "/api/v3/exchangeInfo"
        assert re.fullmatch(r"symbols=[A-Za-z0-9%_.~-]+&showPermissionSets=false", query), "as a URL may carry it"
        assert json.loads(parse_qs(query)["symbols"][0]) == symbols

        path += "?showPermissionSets=false"  # the sets are most of its length, and not read
        assert SPOT.listings()[0].path == path
        many = [f"S{number}USDT" for number in range(2_000)]
        assert SPOT.listings(many)[0].path == path, "a URL has its bound"
        assert FUTURES.listings(symbols)[0] == FUTURES.listings()[0]

    def test_spot_has_a_canonical_name_of_its_own(self) -> None:
        message = one(SPOT, {"symbols": [entry("BTCUSDT", "0.01", "0.00001000")]}, Via.REST)
        assert isinstance(message, InstrumentList)
        assert [(found.canonical, found.lot_size, found.contract_kind) for found in message.instruments] == [
            ("BTC-USDT-SPOT", "0.00001", ContractKind.SPOT)
        ]


def entry(symbol: str, tick: str, lot: str, **more: object) -> dict[str, object]:
    filters = [{"filterType": "PRICE_FILTER", "tickSize": tick}, {"filterType": "LOT_SIZE", "stepSize": lot}]
    return {"symbol": symbol, "baseAsset": "BTC", "quoteAsset": "USDT", "filters": filters, **more}


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000) * 10**6


@pytest.mark.recorded
def test_messages_agree_with_another_normaliser(recordings: Path) -> None:
    """Trades, best quotes and updates, as a widely used public normaliser gives them."""
    compared = {"trade": 0, "book_ticker": 0, "book_change": 0}
    for pair in json.loads((recordings / "normalized-pairs" / "binance-futures.json").read_text()):
        if pair["raw"].get("generated") or not pair["expected"]:
            continue
        message = one(FUTURES, pair["raw"])
        for expected in pair["expected"]:
            kind = expected["type"]
            if kind == "trade":
                assert isinstance(message, TradeTick)
                assert (message.trade_id, float(message.price), float(message.size), message.exchange_ns) == (
                    expected["id"], expected["price"], expected["amount"], ns(expected["timestamp"]),
                )  # fmt: skip
                assert message.buyer_is_aggressor is (expected["side"] == "buy")
            elif kind == "book_ticker":
                assert isinstance(message, BestQuote)
                found = [float(text) for text in (message.bid, message.bid_size, message.ask, message.ask_size)]
                names = ("bidPrice", "bidAmount", "askPrice", "askAmount")
                assert found == [expected[name] for name in names]
            elif kind == "book_change":
                assert isinstance(message, DepthDelta)
                for side, levels in (("bids", message.bids), ("asks", message.asks)):
                    assert [(float(p), float(s)) for p, s in levels] == [
                        (level["price"], level["amount"]) for level in expected[side]
                    ]
            else:  # tickers: `test_derivatives.py` compares them
                assert isinstance(message, Ignored | DerivativeTick), kind
                continue
            compared[kind] += 1
    assert compared == {"trade": 2, "book_ticker": 1, "book_change": 1}


@pytest.mark.recorded
def test_trades_beside_the_market_are_left_out_as_the_normaliser_does(recordings: Path) -> None:
    pairs = json.loads((recordings / "normalized-pairs" / "binance-futures.json").read_text())
    left_out = [pair for pair in pairs if pair["channel"] == "trade" and not pair["expected"]]
    assert [one(FUTURES, pair["raw"]) for pair in left_out] == [Ignored("trade_insurance_fund")]


SAMPLES: dict[str, tuple[Exchange, Via, type | str]] = {
    "futures_agg_trade_stream": (FUTURES, Via.WS, TradeTick),
    "futures_book_ticker_stream": (FUTURES, Via.WS, BestQuote),
    "futures_depth_update_stream": (FUTURES, Via.WS, DepthDelta),
    "futures_liquidation_stream": (FUTURES, Via.WS, "forceOrder"),
    "futures_mark_price_stream": (FUTURES, Via.WS, DerivativeTick),
    "futures_trade_stream": (FUTURES, Via.WS, TradeTick),
    "http_futures_market_depth": (FUTURES, Via.REST, DepthSnapshot),
    "http_futures_market_exchange_info": (FUTURES, Via.REST, InstrumentList),
    "http_spot_market_depth": (SPOT, Via.REST, DepthSnapshot),
    "ws_futures_depth_diff_update": (FUTURES, Via.WS, DepthDelta),
    "ws_futures_depth_update": (FUTURES, Via.WS, DepthDelta),
}


@pytest.mark.recorded
def test_every_published_sample_is_understood(recordings: Path) -> None:
    folder = recordings / "sample-frames" / "binance-futures"
    assert {path.stem for path in folder.glob("*.json")} == set(SAMPLES)
    for name, (exchange, via, expected) in SAMPLES.items():
        message = one(exchange, (folder / f"{name}.json").read_bytes(), via)
        if isinstance(expected, str):
            assert message == Ignored(expected), name
        else:
            assert isinstance(message, expected), name


@pytest.mark.recorded
def test_the_published_instrument_list_gives_its_grids(recordings: Path) -> None:
    raw = (recordings / "sample-frames" / "binance-futures" / "http_futures_market_exchange_info.json").read_bytes()
    message = one(FUTURES, raw, Via.REST)
    assert isinstance(message, InstrumentList)
    found = {instrument.symbol: instrument for instrument in message.instruments}
    for listed in json.loads(raw)["symbols"]:
        filters = {rule["filterType"]: rule for rule in listed["filters"]}
        instrument = found[listed["symbol"]]
        assert Decimal(instrument.tick_size) == Decimal(filters["PRICE_FILTER"]["tickSize"])
        assert Decimal(instrument.lot_size) == Decimal(filters["LOT_SIZE"]["stepSize"])
    assert found["BTCUSDT"].canonical == "BTC-USDT-PERP"
    assert not message.unreadable


@pytest.mark.parametrize("time", [9_300_000_000_000, 99_999_999_999_999])
def test_a_time_beyond_int64_in_nanoseconds_is_refused_and_its_instrument_named(time: int) -> None:
    trade = {"e": "trade", "E": time, "T": time, "s": "BTCUSDT", "t": 1, "p": "1", "q": "1", "X": "MARKET", "m": True}
    with pytest.raises(InvalidNumber, match="beyond int64"):
        EXCHANGES["binance-futures"].parse(framed(wrapped("btcusdt@trade", trade), Via.WS))
