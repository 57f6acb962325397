"""A dead letter can always be written, whatever it is about, and is the same one each time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.bounds import MAX_LETTER_TEXT, MAX_PAYLOAD_BYTES
from schemas.codec import decode, encode
from schemas.dead_letters import instrument_of_key, letter_about_frame, letter_about_record
from schemas.errors import DecodeError
from schemas.logs import Origin, parse_origin
from schemas.messages import InstrumentKey

ORIGIN = Origin("obflow.l2.v1", "_8Gbh6GZQnqLrPZ3Hh0d2A", 3, 17)
WORDS = st.text() | st.text(min_size=1).map(lambda text: text * 2_000)
BYTES = st.none() | st.binary() | st.integers(0, 2 * MAX_PAYLOAD_BYTES).map(bytes)


@given(payload=BYTES, cause=WORDS, venue=WORDS, symbol=WORDS, named=st.booleans())
def test_a_letter_about_any_record_can_be_written(
    payload: bytes | None, cause: str, venue: str, symbol: str, named: bool
) -> None:
    whose = InstrumentKey(venue, symbol)
    error = DecodeError(cause) if named else DecodeError(cause, venue=venue, symbol=symbol)
    known = {"instrument": whose} if named else {}
    letter = letter_about_record(ORIGIN, payload, 5, error, role="sink", **known)

    assert decode(encode(letter)) == letter
    assert letter == letter_about_record(ORIGIN, payload, 5, error, role="sink", **known)
    assert (letter.venue, letter.symbol) == (venue[:MAX_LETTER_TEXT], symbol[:MAX_LETTER_TEXT])
    assert letter.payload_bytes == len(payload or b"")
    assert (payload or b"").startswith(letter.payload)
    assert (letter.reason, letter.role, letter.received_ns) == ("DecodeError", "sink", 5)
    assert parse_origin(letter.source_topic, letter.letter_id) == ORIGIN
    assert (letter.source_topic, letter.source_partition, letter.source_offset) == ("obflow.l2.v1", 3, 17)


def test_a_letter_about_a_frame_names_no_record() -> None:
    error = DecodeError("broken", symbol="BTCUSDT")
    letter = letter_about_frame("v:1:5:2", b"frame", 5, error, role="producer", instrument=InstrumentKey("v", ""))

    assert (letter.letter_id, letter.venue, letter.symbol) == ("v:1:5:2", "v", "BTCUSDT")
    assert (letter.source_topic, letter.source_partition, letter.source_offset) == ("", -1, -1)


def test_a_key_that_is_none_names_no_instrument() -> None:
    assert instrument_of_key(b"binance:BTCUSDT") == InstrumentKey("binance", "BTCUSDT")
    assert {instrument_of_key(key) for key in (None, b"", b"binance", b"binance:")} == {InstrumentKey("", "")}
