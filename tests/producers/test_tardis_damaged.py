"""Damaged messages of Tardis, its relays and its files: each is refused in bounds, and no book is believed past one."""

from __future__ import annotations

from pathlib import Path

import pytest

from producers.books.router import FrameRouter
from producers.contract import FrameReader
from producers.exchanges import EXCHANGES
from producers.messages import Frame, Instrument, Via
from producers.recordings.opened import open_recording
from producers.recordings.recording import Recording
from producers.tardis.datasets import DatasetReader, dataset_of
from producers.tardis.decoding import plain_decimal
from producers.tardis.machine import MachineReader
from producers.tardis.raw import RawLines, is_raw
from producers.tardis.relay import RelayReader
from producers.tardis.shapes import ShapesReader
from schemas.errors import DecodeError, FatalError
from schemas.messages import DeadLetter, L2Record, Reason
from tests.producers.tardis_data import L2_HEADER

BINANCE = EXCHANGES["binance"]
DEEP = b'{"type": "book", "more": ' + b"[" * 100_000
ENDLESS = "1e999999999"
TIMES = '"timestamp": "2024-01-02T03:04:05.006Z", "localTimestamp": "2024-01-02T03:04:05.007Z"'
MACHINE = '{"type": "book_change", "symbol": "BTCUSDT", "exchange": "binance", "isSnapshot": %s, %s, "bids": [{"price": %s, "amount": 1}], "asks": []}'  # noqa: E501 (one message)
SHAPE = '{"type": "%s", "symbol": "BTCUSDT", "bids": [[%s, 1]], "asks": []}'
ROW = "binance,BTCUSDT,1704164645006000,1704164645007000,%s,bid,%s,1"


def readers() -> dict[str, FrameReader]:
    return {
        "machine": MachineReader(BINANCE, "binance"),
        "shapes": ShapesReader(BINANCE),
        "relay": RelayReader(BINANCE),
        "dataset": DatasetReader(BINANCE, dataset_of(L2_HEADER)),
    }


def book(form: str, price: str, *, whole: bool = True) -> bytes:
    told = "true" if whole else "false"
    texts = {
        "machine": MACHINE % (told, TIMES, price),
        "shapes": SHAPE % ("snapshot" if whole else "delta", price),
        "dataset": ROW % (told, price),
    }
    return (texts.get(form) or texts["shapes"]).encode()


def routed(form: str) -> FrameRouter:
    return FrameRouter(readers()[form], {"BTCUSDT": Instrument("binance", "BTCUSDT", "0.01", "0.001")})


@pytest.mark.parametrize("form", ["machine", "shapes", "relay"])
def test_a_message_of_parts_within_parts_without_end_is_refused(form: str) -> None:
    with pytest.raises(DecodeError):
        readers()[form].parse(Frame(1, Via.WS, raw=DEEP))


def test_a_line_of_parts_within_parts_without_end_is_no_line_of_any_form(tmp_path: Path) -> None:
    assert not is_raw(DEEP)
    with pytest.raises(DecodeError):
        RawLines("binance", "").frames_of(DEEP + b"\n")
    path = tmp_path / "deep.jsonl"
    path.write_bytes(DEEP)
    assert isinstance(open_recording(path, BINANCE).source, Recording)
    with pytest.raises(FatalError, match=r"line 1 .* is not a frame as recorded"):
        list(Recording(path).frames())


@pytest.mark.parametrize("number", [ENDLESS, "1e-999999999", "-1E+999999999", "1e41", "nane5"])
def test_a_number_that_would_fill_the_memory_written_out_stays_as_it_is(number: str) -> None:
    assert plain_decimal(number) == number


@pytest.mark.parametrize("form", ["machine", "shapes", "relay", "dataset"])
def test_a_book_with_an_endless_number_is_refused_and_not_believed(form: str) -> None:
    router = routed(form)
    router.handle(Frame(1, Via.WS, "c", raw=book(form, "100")))
    router.handle(Frame(2, Via.WS, "c", raw=book(form, ENDLESS, whole=False)))
    assert dict(router.rejected) == {"InvalidNumber": 1}
    assert router.streams["BTCUSDT"].reason is Reason.BAD_INPUT


@pytest.mark.parametrize("form", ["machine", "shapes", "relay", "dataset"])
@pytest.mark.parametrize("damaged", [b'{"type": "delta", "sym', b"\xff\xfe", b"<html>"])
def test_what_cannot_be_read_may_have_been_an_update_that_no_number_would_miss(form: str, damaged: bytes) -> None:
    router = routed(form)
    router.handle(Frame(1, Via.WS, "c", raw=book(form, "100")))
    assert router.streams["BTCUSDT"].is_live
    letter, invalid = router.handle(Frame(2, Via.WS, "c", raw=damaged)).records[:2]
    assert isinstance(letter, DeadLetter)
    assert isinstance(invalid, L2Record)
    assert invalid.reason is Reason.BAD_INPUT
    router.handle(Frame(3, Via.WS, "c", raw=book(form, "101")))
    assert router.streams["BTCUSDT"].is_live


def test_a_frame_too_large_to_be_read_may_have_been_an_update_too() -> None:
    router = FrameRouter(
        readers()["machine"], {"BTCUSDT": Instrument("binance", "BTCUSDT", "0.01", "0.001")}, max_frame_bytes=1_000
    )
    router.handle(Frame(1, Via.WS, "c", raw=book("machine", "100")))
    router.handle(Frame(2, Via.WS, "c", raw=b" " * 1_001))
    assert router.streams["BTCUSDT"].reason is Reason.BAD_INPUT


@pytest.mark.parametrize("field", ['"update_id": -1', '"update_id": 9223372036854775808', '"bids": [["", 1]]'])
def test_a_damaged_shape_that_names_its_instrument_spoils_that_book_alone(field: str) -> None:
    with pytest.raises(DecodeError) as refused:
        readers()["shapes"].parse(Frame(1, Via.WS, raw=b'{"type": "delta", "symbol": "BTCUSDT", %s}' % field.encode()))
    assert refused.value.context == {"channel": "depth", "symbol": "BTCUSDT"}
