"""Copies of records are what the codec would have written under the other name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from producers.recordings.multiply import Copier, avro_string, copy_names
from schemas.codec import decode
from schemas.messages import DeadLetter, FeedState, FeedStatus, Kind, L2Record, Source, TradeRecord

L2 = L2Record(
    "binance-futures",
    "BTCUSDT",
    Source.REPLAY,
    Kind.DELTA,
    7,
    42,
    10**18,
    "0.1",
    "0.001",
    previous_sequence=41,
    bid_ticks=[618000, 1],
    bid_lots=[0, 5],
    trade_ticks=[618001],
    trade_lots=[-3],
)
TRADE = TradeRecord("binance-futures", "BTCUSDT", Source.REPLAY, "9", 10**18, "0.1", "0.001", 618001, -3)
STATUS = FeedStatus("binance-futures", "BTCUSDT", Source.REPLAY, FeedState.LIVE, 7, 10**18)
LETTER = DeadLetter("v:1:1", "producer", "DecodeError", "why", 1, b"{", 1, venue="binance-futures", symbol="BTCUSDT")


@given(st.sampled_from([L2, TRADE, STATUS]), st.integers(1, 120))
def test_each_copy_decodes_to_the_record_under_its_own_name(
    record: L2Record | TradeRecord | FeedStatus, count: int
) -> None:
    copies = Copier(count).of(record)

    assert len(copies) == count
    for name, (key, payload) in zip(copy_names("BTCUSDT", count), copies, strict=True):
        assert decode(payload) == replace(record, symbol=name)
        assert key == f"binance-futures:{name}".encode()


def test_without_copies_a_record_keeps_its_name() -> None:
    ((key, payload),) = Copier(None).of(L2)

    assert key == b"binance-futures:BTCUSDT"
    assert decode(payload) == L2


def test_a_dead_letter_is_one_letter_a_copy() -> None:
    copies = Copier(2).of(LETTER)

    assert [key for key, _ in copies] == [b"v:1:1:BTCUSDT-01", b"v:1:1:BTCUSDT-02"]
    assert [key for key, _ in Copier(2).of(replace(LETTER, symbol=""))] == [b"v:1:1:"]
    assert [key for key, _ in Copier(None).of(LETTER)] == [b"v:1:1"]


def test_names_have_as_many_digits_as_the_last_needs() -> None:
    assert copy_names("BTCUSDT", None) == ("BTCUSDT",)
    assert copy_names("BTCUSDT", 1) == ("BTCUSDT-01",)
    assert copy_names("X", 100)[::99] == ("X-001", "X-100")


@given(st.text(max_size=300))
def test_a_string_is_written_as_avro_writes_it(text: str) -> None:
    import io

    import fastavro

    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, {"type": "string"}, text)
    assert avro_string(text) == buffer.getvalue()
