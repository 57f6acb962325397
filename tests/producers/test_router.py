"""Frames to instruments; what cannot be used becomes a dead letter, and only a lost update damages a book."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.books.router import FrameRouter
from producers.exchanges import EXCHANGES
from producers.exchanges.binance.usd_m import BINANCE_FUTURES
from producers.messages import Ack, Frame, Instrument, Notice, Via
from schemas.bounds import MAX_PAYLOAD_BYTES
from schemas.codec import decode, encode
from schemas.messages import DeadLetter, FeedState, Kind, Reason
from tests.producers.messages import SECOND, framed, kinds, l2, states

VENUE = "binance-futures"


def depth(symbol: str, first: int, last: int, previous: int, **changes: object) -> bytes:
    data = {"e": "depthUpdate", "E": last, "T": last, "s": symbol, "U": first, "u": last, "pu": previous}
    data |= {"b": [["100.0", "1"]], "a": [["100.1", "1"]]} | changes
    return json.dumps({"stream": f"{symbol.lower()}@depth@100ms", "data": data}).encode()


def other(symbol: str, stream: str, **data: object) -> bytes:
    return json.dumps({"stream": f"{symbol.lower()}@{stream}", "data": {"s": symbol, **data}}).encode()


def trade(symbol: str = "AUSDT", **changes: object) -> bytes:
    data = {"e": "trade", "E": 1, "T": 1, "t": 1, "p": "100.0", "q": "1", "X": "MARKET", "m": True}
    return other(symbol, "trade", **(data | changes))


def quote(**changes: object) -> bytes:
    data = {"e": "bookTicker", "u": 1, "b": "100.0", "B": "1", "a": "100.1", "A": "1"}
    return other("AUSDT", "bookTicker", **(data | changes))


def rest(sequence: int, **changes: object) -> bytes:
    body = {"lastUpdateId": sequence, "E": 1, "T": 1, "bids": [["100.0", "1"]], "asks": [["100.1", "1"]]}
    return json.dumps(body | changes).encode()


def request(symbol: str) -> str:
    return BINANCE_FUTURES.recover(symbol).path


def router(*symbols: str, live: bool = True) -> FrameRouter:
    """A router of these instruments, each LIVE at 110 and received over the connection "1"."""
    made = FrameRouter(EXCHANGES[VENUE], {symbol: Instrument(VENUE, symbol, "0.1", "0.001") for symbol in symbols})
    for symbol in symbols if live else ():
        made.handle(framed(depth(symbol, 95, 110, 94), Via.WS, SECOND, connection="1"))
        made.handle(framed(rest(100), Via.REST, SECOND, connection="1", request=request(symbol)))
        assert made.streams[symbol].is_live
    return made


BAD_UPDATES: list[tuple[str, dict[str, Any], str]] = [
    ("levels null", {"b": None}, "DecodeError"),
    ("levels no pairs", {"a": [["1"]]}, "DecodeError"),
    ("ids backwards", {"U": 500}, "DecodeError"),
    ("id beyond int64", {"u": 2**64}, "DecodeError"),
    ("another event", {"e": "depthFoo"}, "UnknownMessage"),
    ("price a JSON number", {"b": [[100.0, "1"]]}, "DecodeError"),
    ("exponent", {"b": [["1e5", "1"]]}, "InvalidNumber"),
    ("negative price", {"b": [["-1", "1"]]}, "InvalidNumber"),
    ("negative size", {"a": [["1", "-1"]]}, "InvalidNumber"),
    ("NaN", {"a": [["1", "NaN"]]}, "InvalidNumber"),
    ("inf", {"a": [["inf", "1"]]}, "InvalidNumber"),
    ("20 digits", {"a": [["99999999999999999999", "1"]]}, "InvalidNumber"),
    ("no room above the book", {"b": [["99.00000000000001", "1"]]}, "InvalidNumber"),
    ("no room above a size", {"b": [["99.0", "0.000000000000001"]]}, "InvalidNumber"),
    ("beyond int64 in lots", {"a": [["1", "9223372036854775.808"]]}, "InvalidNumber"),
    ("empty text", {"a": [["", "1"]]}, "InvalidNumber"),
    ("spaces", {"a": [[" 1", "1"]]}, "InvalidNumber"),
]
HARMLESS: list[tuple[str, bytes, Via, str]] = [
    ("not JSON", b"hello", Via.WS, "DecodeError"),
    ("cut JSON", depth("AUSDT", 111, 120, 110)[:-10], Via.WS, "DecodeError"),
    ("not text", b"\xff\xfe\x00", Via.WS, "DecodeError"),
    ("unknown kind", other("AUSDT", "mystery", e="mystery"), Via.WS, "UnknownMessage"),
    ("unknown symbol, trade", trade("ZUSDT"), Via.WS, "UnknownSymbol"),
    ("unknown symbol, update", depth("ZUSDT", 1, 2, 0), Via.WS, "UnknownSymbol"),
    ("unknown symbol, bad update", depth("ZUSDT", 1, 2, 0, b=None), Via.WS, "DecodeError"),
    ("too large", b" " * (16 * 1024 * 1024 + 1), Via.WS, "FrameTooLarge"),
    ("bad trade", trade(p="NaN"), Via.WS, "InvalidNumber"),
    ("trade on no grid", trade(p="61800.00000000000000001"), Via.WS, "InvalidNumber"),
    ("trade without price", trade(p=None), Via.WS, "DecodeError"),
    ("bad quote", quote(A="-1"), Via.WS, "InvalidNumber"),
    ("snapshot without levels", rest(200, bids=None), Via.REST, "DecodeError"),
    ("snapshot of nobody", rest(200), Via.REST, "UnknownSymbol"),
]


@pytest.mark.parametrize(("changes", "reason"), [row[1:] for row in BAD_UPDATES], ids=[row[0] for row in BAD_UPDATES])
def test_an_unusable_update_is_dead_lettered_and_invalidates_its_book_alone(
    changes: dict[str, Any], reason: str
) -> None:
    made = router("AUSDT", "BUSDT")
    frame = depth("AUSDT", 111, 120, 110, **changes)

    records = made.handle(framed(frame, Via.WS, 2 * SECOND, connection="1")).records

    (letter,) = [record for record in records if isinstance(record, DeadLetter)]
    assert (letter.reason, letter.payload, letter.symbol) == (reason, frame, "AUSDT")
    assert kinds(records) == [(Kind.INVALID, 110, Reason.BAD_INPUT)]
    assert made.rejected == {reason: 1}
    assert made.streams["AUSDT"].needs_snapshot is Reason.BAD_INPUT
    assert made.streams["BUSDT"].is_live


def test_an_update_that_waited_and_then_cannot_be_used_is_dead_lettered_too() -> None:
    made = router("AUSDT", live=False)
    made.handle(framed(depth("AUSDT", 95, 110, 94), Via.WS, SECOND))
    made.handle(framed(depth("AUSDT", 111, 120, 110, b=[["0.0000000001", "1"]]), Via.WS, SECOND))
    snapshot = rest(100, asks=[["900000000000000", "1"]])

    records = made.handle(framed(snapshot, Via.REST, 2 * SECOND, request=request("AUSDT"))).records

    (letter,) = [record for record in records if isinstance(record, DeadLetter)]
    assert (letter.reason, letter.symbol, letter.letter_id) == ("InvalidNumber", "AUSDT", f"{VENUE}:AUSDT:{SECOND}:120")
    assert b"0.0000000001" in letter.payload
    assert made.rejected == {"InvalidNumber": 1}
    assert kinds(records)[-1] == (Kind.INVALID, 110, Reason.BAD_INPUT)
    assert made.streams["AUSDT"].needs_snapshot is Reason.BAD_INPUT


@pytest.mark.parametrize(("frame", "via", "reason"), [row[1:] for row in HARMLESS], ids=[row[0] for row in HARMLESS])
def test_a_frame_that_is_no_update_of_a_book_is_dead_lettered_and_no_book_suffers(
    frame: bytes, via: Via, reason: str
) -> None:
    made = router("AUSDT", "BUSDT")

    records = made.handle(framed(frame, via, 2 * SECOND, connection="1")).records

    (letter,) = records
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.role, letter.venue, letter.received_ns) == (reason, "producer", VENUE, 2 * SECOND)
    assert (letter.payload, letter.payload_bytes) == (frame[:MAX_PAYLOAD_BYTES], len(frame))
    assert letter.error
    assert made.rejected == {reason: 1}
    assert all(stream.is_live for stream in made.streams.values())
    assert decode(encode(letter)) == letter


def test_a_bad_snapshot_is_dead_lettered_and_another_one_stays_wanted() -> None:
    made = router("AUSDT", "BUSDT", live=False)
    made.handle(framed(depth("AUSDT", 95, 110, 94), Via.WS, SECOND))
    bad = rest(100, bids=[["1e5", "1"]])
    records = made.handle(framed(bad, Via.REST, SECOND, request=request("AUSDT"))).records

    assert [record.reason for record in records if isinstance(record, DeadLetter)] == ["InvalidNumber"]
    assert made.streams["AUSDT"].needs_snapshot is Reason.RESTART
    made.handle(framed(rest(100), Via.REST, SECOND, request=request("AUSDT")))
    assert made.streams["AUSDT"].is_live


def test_a_dead_letter_is_the_same_letter_when_the_same_frames_come_again() -> None:
    def letters() -> list[str]:
        made = router("AUSDT")
        frames = [b"one", depth("AUSDT", 111, 120, 110), b"two"]
        records = [
            record for frame in frames for record in made.handle(framed(frame, Via.WS, SECOND, connection="1")).records
        ]
        return [record.letter_id for record in records if isinstance(record, DeadLetter)]

    assert letters() == letters() == [f"{VENUE}:1:{SECOND}:3", f"{VENUE}:1:{SECOND}:5"]


def test_a_frame_at_the_bound_is_still_read() -> None:
    made = FrameRouter(EXCHANGES[VENUE], {}, max_frame_bytes=len(b'{"result":null,"id":1}'))
    assert made.handle(framed(b'{"result":null,"id":1}', Via.WS, 0)).notices == [Ack("1")]
    assert made.handle(framed(b'{"result":null,"id":10}', Via.WS, 0)).records[0].reason == "FrameTooLarge"  # type: ignore[union-attr]


def test_what_the_edge_should_know_is_handed_to_it() -> None:
    taken = router("AUSDT").handle(framed(b'{"e":"serverShutdown","E":1}', Via.WS, SECOND))
    assert taken.records == []
    assert isinstance(taken.notices[0], Notice)


def test_known_messages_nobody_needs_are_counted() -> None:
    made = router("AUSDT")
    made.handle(framed(other("AUSDT", "forceOrder"), Via.WS, SECOND))
    assert made.ignored == {"forceOrder": 1}
    assert not made.rejected


def test_a_snapshot_without_a_name_belongs_to_the_only_instrument() -> None:
    made = router("AUSDT", live=False)
    made.handle(framed(depth("AUSDT", 95, 110, 94), Via.WS, SECOND))
    assert kinds(made.handle(framed(rest(100), Via.REST, SECOND)).records)[0] == (Kind.SNAPSHOT, 100, None)


def test_a_connection_beside_books_says_nothing_of_a_book_whose_own_is_lost() -> None:
    made = router("AUSDT")
    made.handle(framed(b"", Via.DISCONNECT, SECOND, connection="1"))
    for via in (Via.DISCONNECT, Via.CONNECT):
        assert made.handle(framed(b"", via, SECOND, connection="2+")).records == []
    assert states(made.handle(framed(b"", Via.CONNECT, SECOND, connection="1")).records) != []


def test_what_still_comes_of_an_ended_instrument_is_ignored_and_counted() -> None:
    made = router("AUSDT", "BUSDT")
    assert states(made.end("AUSDT", 2 * SECOND)) == [(FeedState.STOPPED, None)]
    made.handle(framed(depth("AUSDT", 111, 120, 110)))
    made.handle(framed(trade("AUSDT")))

    assert (made.ignored, made.rejected, list(made.streams)) == ({"ended": 2}, {}, ["BUSDT"])


class TestConnections:
    def test_a_disconnect_concerns_the_instruments_of_that_connection(self) -> None:
        made = router("AUSDT", "BUSDT")
        made.handle(framed(depth("BUSDT", 111, 120, 110), Via.WS, SECOND, connection="2"))

        records = made.handle(Frame(2 * SECOND, Via.DISCONNECT, "1")).records

        assert [record.symbol for record in l2(records)] == ["AUSDT"]
        assert made.streams["BUSDT"].is_live

    def test_a_new_connection_concerns_what_no_other_one_carries(self) -> None:
        made = router("AUSDT", "BUSDT")
        made.handle(framed(depth("BUSDT", 111, 120, 110), Via.WS, SECOND, connection="2"))
        made.handle(Frame(2 * SECOND, Via.DISCONNECT, "1"))

        records = made.handle(Frame(3 * SECOND, Via.CONNECT, "3")).records

        assert {record.symbol for record in records} == {"AUSDT"}
        assert kinds(records) == []
        assert made.streams["BUSDT"].is_live

    def test_an_edge_that_knows_says_whose_connection_it_is(self) -> None:
        made = router("AUSDT", "BUSDT")
        made.assign("9", ["BUSDT"])
        records = made.handle(Frame(2 * SECOND, Via.DISCONNECT, "9")).records
        assert [record.symbol for record in l2(records)] == ["BUSDT"]
        assert [record.symbol for record in made.handle(Frame(3 * SECOND, Via.CONNECT, "9")).records] == ["BUSDT"]

    def test_what_was_assigned_to_a_lost_connection_is_not_another_ones(self) -> None:
        made = router("AUSDT", "BUSDT")
        made.assign("1", ["AUSDT"])
        made.assign("2", ["BUSDT"])
        made.handle(Frame(2 * SECOND, Via.DISCONNECT, "1"))

        assert {record.symbol for record in made.handle(Frame(3 * SECOND, Via.DISCONNECT, "2")).records} == {"BUSDT"}
        assert {record.symbol for record in made.handle(Frame(4 * SECOND, Via.CONNECT, "2")).records} == {"BUSDT"}


@given(st.binary(max_size=200), st.sampled_from([Via.WS, Via.REST]))
def test_no_bytes_make_it_raise(frame: bytes, via: Via) -> None:
    made = router("AUSDT")
    taken = made.handle(framed(frame, via, 2 * SECOND))
    assert len(taken.records) == made.rejected.total() == 1


@given(st.data())
def test_no_damage_to_a_good_frame_makes_it_raise(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from([depth("AUSDT", 111, 120, 110), trade(), quote(), rest(200)])))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(frame) - 1))
        frame[position] = data.draw(st.integers(0, 255))
    made = router("AUSDT")
    for via in (Via.WS, Via.REST):
        for record in made.handle(framed(bytes(frame), via, 2 * SECOND)).records:
            assert decode(encode(record)) == record
