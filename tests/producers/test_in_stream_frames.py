"""What Bybit, OKX and Deribit write, and what becomes of it: their special frames, lists, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from producers.books.router import FrameRouter
from producers.contract import Exchange, Fetch
from producers.exchanges import EXCHANGES
from producers.messages import (
    Ack,
    BestQuote,
    DepthDelta,
    DepthSnapshot,
    Frame,
    Ignored,
    Instrument,
    InstrumentList,
    Notice,
    NoticeKind,
    SnapshotOrigin,
    TradeTick,
    VenueMessage,
    Via,
)
from schemas.errors import DecodeError, MessageError, UnknownMessage
from schemas.messages import ContractKind, Coverage, L2Record, Reason

BYBIT, SPOT, OKX, DERIBIT = (EXCHANGES[name] for name in ("bybit", "bybit-spot", "okx", "deribit"))


def heard(exchange: Exchange, message: object, request: str = "") -> list[VenueMessage]:
    via = Via.REST if request else Via.WS
    raw = message if isinstance(message, bytes) else json.dumps(message).encode()
    return exchange.parse(Frame(1, via, "1", request, raw))


def bybit_book(depth: object = 200, **fields: Any) -> dict[str, Any]:
    data = {"s": "BTCUSDT", "b": [["10.0", "1"]], "a": [["10.1", "2"]], "u": 8, "seq": 99} | fields.pop("data", {})
    return {"topic": f"orderbook.{depth}.BTCUSDT", "type": "delta", "ts": 5, "cts": 4, "data": data} | fields


def okx_book(action: str = "update", **data: Any) -> dict[str, Any]:
    book = {"asks": [["10.1", "2", "0", "1"]], "bids": [], "ts": "5", "checksum": 0, "seqId": 9, "prevSeqId": 7} | data
    return {"arg": {"channel": "books", "instId": "BTC-USDT"}, "action": action, "data": [book]}


def deribit(channel: str, data: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}}


def deribit_book(**fields: Any) -> dict[str, Any]:
    data = {"type": "change", "timestamp": 5, "instrument_name": "BTC-PERPETUAL", "change_id": 9, "prev_change_id": 7}
    return deribit("book.BTC-PERPETUAL.100ms", {**data, "bids": [], "asks": [["new", 10.5, 20.0]], **fields})


class TestBybit:
    @pytest.mark.parametrize("fields", [{"type": "snapshot"}, {"data": {"u": 1}}], ids=["snapshot", "restart"])
    def test_a_snapshot_or_the_first_number_is_a_whole_book_whatever_it_calls_itself(
        self, fields: dict[str, Any]
    ) -> None:
        (book,) = heard(BYBIT, bybit_book(**fields))
        assert isinstance(book, DepthSnapshot)
        assert (book.origin, book.coverage, book.exchange_ns) == (SnapshotOrigin.IN_STREAM, Coverage.TOP_N, 4_000_000)

    def test_a_delta_follows_the_number_below(self) -> None:
        (delta,) = heard(BYBIT, bybit_book(500))
        assert isinstance(delta, DepthDelta)
        assert (delta.previous_sequence, delta.last_sequence) == (7, 8)

    def test_a_delta_before_a_snapshot_is_not_applied_and_asks_for_one(self) -> None:
        router = FrameRouter(BYBIT, {"BTCUSDT": Instrument("bybit", "BTCUSDT", "0.1", "1")})
        records = router.handle(Frame(1, Via.WS, "1", "", json.dumps(bybit_book()).encode())).records
        assert not any(isinstance(record, L2Record) for record in records)
        assert router.streams["BTCUSDT"].needs_snapshot is Reason.RESTART

    def test_the_book_of_one_level_is_a_best_quote_and_repeated_changes_no_book(self) -> None:
        (quote,) = heard(BYBIT, bybit_book(1, type="snapshot"))
        assert quote == BestQuote("BTCUSDT", "10.0", "1", "10.1", "2", is_sampled=True, number=8)
        one_sided, whole = {"a": []}, {"b": [["9.9", "0"], ["10.0", "1"]]}
        assert heard(BYBIT, bybit_book(1, data=one_sided)) == [Ignored("orderbook_1_delta")]
        assert heard(BYBIT, bybit_book(1, data=whole)) == [quote]
        assert heard(BYBIT, bybit_book("full")) == [Ignored("orderbook_full")]

    def test_an_unnumbered_acknowledgement_is_none_of_ours(self) -> None:
        assert heard(SPOT, {"success": True, "ret_msg": "subscribe", "conn_id": "c", "op": "subscribe"}) == [Ack("")]
        assert heard(SPOT, {"op": "pong", "args": ["1"]}) == [Ignored("pong")]
        with pytest.raises(UnknownMessage):
            heard(SPOT, {"op": "auth", "success": True})

    def test_inverse_contracts_have_a_path_of_their_own_and_are_told_by_their_name(self) -> None:
        kinds = {
            name: BYBIT.contract_kind(name).value
            for name in ("BTCUSDT", "BTCPERP", "BTC-26DEC25", "BTCUSD", "BTCUSDZ25")
        }
        assert list(kinds.values()) == ["linear", "linear", "linear", "inverse", "inverse"]
        assert all(BYBIT.websocket_path(name) == f"/v5/public/{kind}" for name, kind in kinds.items())
        assert SPOT.websocket_path("BTCUSD") == "/v5/public/spot"

    def test_a_list_goes_on_where_it_says_so_and_a_bad_entry_hides_no_other(self) -> None:
        entry = {"symbol": "BTCUSDZ25", "baseCoin": "BTC", "quoteCoin": "USD", "status": "Trading"}
        entry |= {"contractType": "InverseFutures", "deliveryTime": "1766736000000"}
        entry |= {"priceFilter": {"tickSize": "0.50"}, "lotSizeFilter": {"qtyStep": "1"}}
        closed = {**entry, "symbol": "OLDUSDT", "contractType": "LinearPerpetual", "status": "Closed"}
        odd = {**entry, "symbol": "ODD", "contractType": ""}
        result = {"list": [entry, closed, {"symbol": "BAD"}, odd], "nextPageCursor": "a%3Db&x"}
        path = "/v5/market/instruments-info?category=inverse&limit=1000"
        (listed,) = heard(BYBIT, {"retCode": 0, "result": result}, f"{path}&cursor=before")
        assert isinstance(listed, InstrumentList)
        assert listed.more == f"{path}&cursor=a%3Db%26x"
        assert listed.unreadable == ("BAD", "ODD")
        first, second = listed.instruments
        assert (first.canonical, first.contract_kind, first.tick_size) == (
            "BTC-USD-251226",
            ContractKind.INVERSE,
            "0.5",
        )
        assert (second.trading_status, second.is_delisted) == ("Closed", True)
        (refused,) = heard(BYBIT, {"retCode": 10006, "retMsg": "Too many visits!"}, path)
        assert isinstance(refused, Notice)

    def test_a_topic_that_is_subscribed_already_refuses_no_instrument(self) -> None:
        said = {"success": False, "conn_id": "c", "req_id": "7", "op": "subscribe"}
        already = {**said, "ret_msg": "error:already subscribed,topic:orderbook.200.BTCUSDT"}
        assert heard(BYBIT, already) == heard(SPOT, already) == [Ack("7")]
        unknown = "error:handler not found,topic:orderbook.200.NOPEUSDT"
        assert heard(BYBIT, {**said, "ret_msg": unknown}) == [Notice(NoticeKind.REFUSED, unknown, "NOPEUSDT")]

    def test_an_answer_that_calls_itself_a_success_may_refuse_some_topics(self) -> None:
        said = {"success": True, "conn_id": "c", "type": "COMMAND_RESP"}
        some = {"failTopics": ["orderbook.200.AUSDT"], "successTopics": ["publicTrade.AUSDT"]}
        refused = Notice(NoticeKind.REFUSED, "not subscribed: orderbook.200.AUSDT")
        assert heard(BYBIT, {**said, "data": some}) == [refused]
        assert heard(BYBIT, {**said, "data": {**some, "failTopics": []}}) == [Ack("")]
        assert heard(SPOT, {"success": True, "ret_msg": None, "op": "subscribe", "req_id": "7"}) == [Ack("7")]

    @pytest.mark.parametrize("topic", ["system.status", "rfq.open.public.trades", "insurance.USDT", "adlAlert.USDT"])
    def test_topics_of_the_whole_venue_are_passed_over(self, topic: str) -> None:
        assert heard(BYBIT, {"topic": topic, "ts": 5, "data": []}) == [Ignored(topic.partition(".")[0])]


class TestOkx:
    def test_numbers_and_checksums_are_taken_where_they_are_alive(self) -> None:
        (delta,), (summed,) = heard(OKX, okx_book()), heard(OKX, okx_book(checksum=-5))
        assert isinstance(delta, DepthDelta)
        assert isinstance(summed, DepthDelta)
        assert (delta.previous_sequence, delta.last_sequence, delta.checksum, summed.checksum) == (7, 9, None, -5)
        old = okx_book()
        del old["data"][0]["seqId"], old["data"][0]["prevSeqId"]
        (unnumbered,) = heard(OKX, old)
        assert isinstance(unnumbered, DepthDelta)
        assert (unnumbered.previous_sequence, unnumbered.last_sequence) == (None, 5)

    @pytest.mark.parametrize(
        "message",
        [okx_book(prevSeqId=-1), okx_book(prevSeqId=None), okx_book(""), okx_book(ts="x"), okx_book(ts="9" * 14)],
    )
    def test_an_update_that_makes_no_sense_costs_its_book(self, message: dict[str, Any]) -> None:
        with pytest.raises(DecodeError) as refused:
            heard(OKX, message)
        assert refused.value.context["symbol"] == "BTC-USDT"

    def test_a_lost_book_is_had_again_in_the_stream_and_then_over_rest(self) -> None:
        assert [isinstance(OKX.recover("BTC-USDT", failed), Fetch) for failed in range(4)] == [False, True, False, True]
        fetch = OKX.recover("BTC-USDT", 1)
        assert isinstance(fetch, Fetch)
        book = okx_book()["data"][0]
        (whole,) = heard(OKX, {"code": "0", "data": [book]}, fetch.path)
        assert isinstance(whole, DepthSnapshot)
        assert (whole.symbol, whole.sequence, whole.origin) == ("BTC-USDT", 9, SnapshotOrigin.FETCHED)
        with pytest.raises(DecodeError):
            heard(OKX, {"code": "0", "data": [{**book, "seqId": None}]}, fetch.path)
        assert heard(OKX, {"code": "0", "data": []}, fetch.path) == [
            Notice(NoticeKind.REFUSED, "an answer without a book")
        ]

    def test_updates_without_a_book_in_the_stream_wait_for_one_over_rest(self) -> None:
        router = FrameRouter(OKX, {"BTC-USDT": Instrument("okx", "BTC-USDT", "0.1", "1")})
        stream = router.streams["BTC-USDT"]

        def take(message: dict[str, Any], request: str = "") -> None:
            via = Via.REST if request else Via.WS
            router.handle(Frame(1, via, "1", request, json.dumps(message).encode()))

        for last, previous in ((9, 7), (12, 9), (15, 12)):
            take(okx_book(seqId=last, prevSeqId=previous))
        assert stream.needs_snapshot is Reason.RESTART
        fetch = OKX.recover("BTC-USDT", 1)
        assert isinstance(fetch, Fetch)
        take({"code": "0", "data": [okx_book(seqId=12)["data"][0]]}, fetch.path)
        assert stream.is_live
        assert (stream.tracked.sequence, stream.counters.deltas_dropped, stream.counters.deltas_applied) == (15, 2, 1)
        take(okx_book("snapshot", seqId=20, prevSeqId=-1))  # one that comes in the stream is the book all the same
        assert stream.tracked.sequence == 20

    def test_events_are_told_apart(self) -> None:
        (upgrade,) = heard(OKX, {"event": "notice", "code": "64008", "msg": "soon"})
        assert [upgrade] == heard(OKX, {"event": "notice", "code": 64008, "msg": "soon"})
        assert upgrade == Notice(NoticeKind.SERVER_SHUTDOWN, "soon")
        assert heard(OKX, {"event": "notice", "code": "1", "msg": "?"}) == [Ignored("notice")]
        assert heard(OKX, {"event": "login", "code": "0", "msg": "", "connId": "c"}) == [Ignored("login")]
        counted = {"channel": "books", "connCount": "30", "connId": "c"}
        assert heard(OKX, {"event": "channel-conn-count", **counted}) == [Ignored("channel-conn-count")]
        assert heard(OKX, {"event": "channel-conn-count-error", **counted}) == [
            Notice(NoticeKind.REFUSED, "too many connections have the channel books")
        ]
        (best,) = heard(
            OKX, {"arg": {"channel": "books5", "instId": "X-Y"}, "data": [{"asks": [], "bids": [], "ts": "0"}]}
        )
        assert best == BestQuote("X-Y", "0", "0", "0", "0", is_sampled=True)
        with pytest.raises(UnknownMessage):
            heard(OKX, {"arg": {"channel": "news", "instId": ""}, "data": []})

    @pytest.mark.parametrize("channel", ["books-elp", "books-rpi", "books-rpi-tbt", "call-auction-details"])
    def test_books_of_other_orders_are_passed_over(self, channel: str) -> None:
        told = {**okx_book("snapshot", prevSeqId=-1), "arg": {"channel": channel, "instId": "BTC-USDT"}}
        assert heard(OKX, told) == [Ignored(channel)]

    def test_answers_of_other_requests_are_no_list(self) -> None:
        path = "/api/v5/market/books-rpi?instId=BTC-USDT&sz=400"
        assert heard(OKX, {"code": "0", "data": okx_book()["data"]}, path) == [Ignored("answer_books-rpi")]

    def test_its_lists_tell_contracts_from_coins(self) -> None:
        swap = {"instType": "SWAP", "instId": "BTC-USD-SWAP", "tickSz": "0.1", "lotSz": "1", "state": "live"}
        swap |= {"ctVal": "100", "ctMult": "1", "ctType": "inverse"}
        future = {**swap, "instType": "FUTURES", "instId": "ETH-USDT-250328", "ctVal": "0.10", "ctType": "linear"}
        odd = {**swap, "instId": "ODD-USD-SWAP", "ctMult": "10"}
        gone = {"instType": "SPOT", "instId": "OLD-USDT", "tickSz": "0.1", "lotSz": "1", "state": "expired"}
        (listed,) = heard(
            OKX, {"code": "0", "data": [swap, future, odd, gone]}, "/api/v5/public/instruments?instType=SWAP"
        )
        assert isinstance(listed, InstrumentList)
        assert [(each.canonical, each.contract_value, each.contract_kind.value) for each in listed.instruments] == [
            ("BTC-USD-PERP", "100", "inverse"),
            ("ETH-USDT-250328", "0.1", "linear"),
            ("OLD-USDT-SPOT", "1", "spot"),
        ]
        assert listed.unreadable == ("ODD-USD-SWAP",)
        assert listed.instruments[2].is_delisted
        assert [fetch.path[-4:] for fetch in OKX.listings(["A-B", "A-B-SWAP", "C-D"])] == ["SPOT", "SWAP"]

    @pytest.mark.parametrize(
        "odd",
        [
            {"instId": "ODD"},
            {"instId": ""},
            {"instId": "A-B", "instType": "FUTURES"},
            {"ctVal": ""},
            {"ctVal": "0"},
            {"ctType": ""},
            {"tickSz": ""},
        ],
    )
    def test_an_entry_that_tells_no_grid_no_kind_or_no_value_hides_no_other(self, odd: dict[str, Any]) -> None:
        swap = {"instType": "SWAP", "instId": "BTC-USD-SWAP", "tickSz": "0.1", "lotSz": "1", "state": "live"}
        swap |= {"ctVal": "100", "ctMult": "1", "ctType": "inverse"}
        other: dict[str, Any] = {**swap, "instId": "X-Y-SWAP", **odd}
        (listed,) = heard(OKX, {"code": "0", "data": [other, swap]}, "/api/v5/public/instruments?instType=SWAP")
        assert isinstance(listed, InstrumentList)
        assert [each.symbol for each in listed.instruments] == ["BTC-USD-SWAP"]
        assert listed.unreadable == (other["instId"],)


class TestDeribit:
    @pytest.mark.parametrize(
        "fields",
        [{"type": "snapshot"}, {"prev_change_id": 0}, {"prev_change_id": None}, {"type": "", "prev_change_id": None}],
    )
    def test_without_a_number_before_it_a_message_is_the_whole_book(self, fields: dict[str, Any]) -> None:
        (book,) = heard(DERIBIT, deribit_book(**fields))
        assert isinstance(book, DepthSnapshot)
        assert (book.origin, book.coverage) == (SnapshotOrigin.IN_STREAM, Coverage.WHOLE)

    def test_actions_and_numbers_become_levels(self) -> None:
        levels = [["delete", 10.5, 7.0], ["change", 0.00005, 1], ["new", 1e-05, 20.25]]
        (delta,) = heard(DERIBIT, deribit_book(bids=levels))
        assert isinstance(delta, DepthDelta)
        assert delta.bids == [("10.5", "0"), ("0.00005", "1"), ("0.00001", "20.25")]
        for bad in (["gone", 1.0, 1.0], ["new", "1e5", 1.0], ["new", 1.0]):
            with pytest.raises(DecodeError) as refused:
                heard(DERIBIT, deribit_book(bids=[bad]))
            assert refused.value.context["symbol"] == "BTC-PERPETUAL"

    def test_each_channel_that_was_accepted_is_acknowledged_and_no_other(self) -> None:
        (say,) = DERIBIT.subscribe(["BTC-PERPETUAL", "NONE"])
        accepted = [name.partition(":")[2] for name in say.acknowledged_by if "NONE" not in name]
        acks = heard(DERIBIT, {"jsonrpc": "2.0", "id": 1, "result": accepted})
        left = set(say.acknowledged_by) - {ack.key for ack in acks if isinstance(ack, Ack)}
        assert left == {name for name in say.acknowledged_by if "NONE" in name}

    def test_an_answer_without_a_channel_refuses_them_all_where_they_were_asked_for(self) -> None:
        refused = Notice(NoticeKind.REFUSED, "it accepted none of the channels")
        assert heard(DERIBIT, {"jsonrpc": "2.0", "id": 1, "result": []}) == [refused]
        assert heard(DERIBIT, {"jsonrpc": "2.0", "id": 6, "result": []}) == [refused]
        assert heard(DERIBIT, {"jsonrpc": "2.0", "id": 2, "result": []}) == [Ignored("nothing")]

    @pytest.mark.parametrize("result", ["ok", {"version": "1.2.26"}, 1_700_000_000_000, True])
    @pytest.mark.parametrize("number", [1, 42, "8f-e2"])
    def test_answers_to_what_somebody_else_asked_are_passed_over(self, number: int | str, result: object) -> None:
        assert heard(DERIBIT, {"jsonrpc": "2.0", "id": number, "result": result}) == [Ignored("answer")]

    def test_blocks_and_legs_of_combinations_are_no_trades_of_the_book(self) -> None:
        trade = {"instrument_name": "BTC-PERPETUAL", "timestamp": 5, "trade_id": "7", "price": 10.5, "amount": 20.0}
        trade |= {"direction": "sell", "liquidation": "M"}
        odd = [trade, {**trade, "block_trade_id": "B"}, {**trade, "combo_id": "C"}, {**trade, "block_rfq_id": 4}]
        told = heard(DERIBIT, deribit("trades.BTC-PERPETUAL.100ms", odd))
        assert told[0] == TradeTick("BTC-PERPETUAL", "7", "10.5", "20", False, 5_000_000)
        assert told[1:] == [Ignored("trade_block"), Ignored("trade_combo"), Ignored("trade_block")]
        assert heard(DERIBIT, deribit("book.BTC-PERPETUAL.none.10.100ms", {})) == [Ignored("book_grouped")]

    def test_its_lists_name_every_kind_and_leave_combinations_out(self) -> None:
        entry = {"tick_size": 0.0005, "min_trade_amount": 0.1, "base_currency": "BTC", "quote_currency": "BTC"}
        entry |= {"counter_currency": "USD", "is_active": True}
        names = {
            "BTC-PERPETUAL": {"kind": "future", "instrument_type": "reversed"},
            "BTC_USDC-8JUN26": {"kind": "future", "instrument_type": "linear", "counter_currency": "USDC"},
            "BTC-27DEC24-50000-C": {"kind": "option", "state": "settled"},
            "BTC_USDC": {"kind": "spot", "counter_currency": "USDC", "is_active": False, "state": "open"},
            "BTC-FS-27DEC24_PERP": {"kind": "future_combo"},
        }
        result = [{**entry, "instrument_name": name, **fields} for name, fields in names.items()]
        (listed,) = heard(DERIBIT, {"result": result}, "/api/v2/public/get_instruments?currency=any")
        assert isinstance(listed, InstrumentList)
        told = [(each.canonical, each.contract_kind.value, each.trading_status) for each in listed.instruments]
        assert told == [
            ("BTC-USD-PERP", "inverse", ""),
            ("BTC-USDC-260608", "linear", ""),
            ("BTC-USD-241227-50000-C", "option", "settled"),
            ("BTC-USDC-SPOT", "spot", "inactive"),
        ]
        assert [each.is_delisted for each in listed.instruments] == [False, False, True, False]
        assert listed.unreadable == ("BTC-FS-27DEC24_PERP",)
        assert [DERIBIT.contract_kind(each.symbol) for each in listed.instruments] == [
            each.contract_kind for each in listed.instruments
        ]
        nameless = [{name: told for name, told in one.items() if name != "instrument_type"} for one in result[:2]]
        (older,) = heard(DERIBIT, {"result": nameless}, "/api/v2/public/get_instruments?currency=any")
        assert isinstance(older, InstrumentList)
        assert older.instruments == listed.instruments[:2]  # lists of before did not say, and names tell
        (one,) = heard(DERIBIT, {"result": result[0]}, "/api/v2/public/get_instrument?instrument_name=BTC-PERPETUAL")
        assert isinstance(one, InstrumentList)
        assert one.instruments == listed.instruments[:1]


MORE: dict[str, tuple[Exchange, dict[str, Any], dict[str, Any]]] = {
    "bybit": (BYBIT, bybit_book(), bybit_book(data={"b": [["10.0", "1", "9"]], "a": [["10.1", "2", []]]})),
    "okx": (OKX, okx_book(), okx_book(asks=[["10.1", "2", "0", "1", None]])),
    "okx, its zero left out": (OKX, okx_book(), okx_book(asks=[["10.1", "2", "1"]])),
    "deribit": (DERIBIT, deribit_book(), deribit_book(asks=[["new", 10.5, 20.0, {"orders": 1}]])),
}
"""A venue, an update, and the same update with other elements behind price and size."""


@pytest.mark.parametrize(("exchange", "plain", "longer"), MORE.values(), ids=MORE)
def test_what_a_level_has_behind_price_and_size_is_passed_over(
    exchange: Exchange, plain: dict[str, Any], longer: dict[str, Any]
) -> None:
    assert heard(exchange, longer) == heard(exchange, plain)


@pytest.mark.parametrize("empty", [[], [["", "", "", ""]], [["0", "0", "0", "0"]]])
def test_a_side_without_orders_has_no_level_or_one_of_nothing(empty: list[list[str]]) -> None:
    told = {"asks": empty, "bids": [["1.5", "2", "0", "1"]], "ts": "5", "seqId": 9}
    expected = BestQuote("X-Y", "1.5", "2", "0", "0", is_sampled=True, number=9)
    assert heard(OKX, {"arg": {"channel": "bbo-tbt", "instId": "X-Y"}, "data": [told]}) == [expected]
    book = {"b": [["1.5", "2"]], "a": [level[:2] for level in empty]}
    assert heard(BYBIT, bybit_book(1, type="snapshot", data=book)) == [replace(expected, symbol="BTCUSDT", number=8)]


@pytest.mark.parametrize("side", [{}, {"best_ask_price": None, "best_ask_amount": None}])
def test_a_side_without_orders_may_have_neither_price_nor_amount(side: dict[str, None]) -> None:
    told = {"instrument_name": "X-Y", "best_bid_price": 1.5, "best_bid_amount": 2.0, **side}
    expected = BestQuote("X-Y", "1.5", "2", "0", "0", is_sampled=True)
    assert heard(DERIBIT, deribit("quote.X-Y", told)) == [expected]


@pytest.mark.parametrize("exchange", [BYBIT, OKX, DERIBIT])
@pytest.mark.parametrize("raw", [b"[]", b"null", b"{}", b'{"data":[]}', b"\xff", b"[" * 5000])
def test_what_is_none_of_its_messages_is_refused(exchange: Exchange, raw: bytes) -> None:
    with pytest.raises(MessageError):
        heard(exchange, raw)
