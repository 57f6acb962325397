"""Factor records decoded many at a time give the rows, and the insert, that each gives by itself."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.bounds import EARLIEST_NS, INT64_MAX, INT64_MIN, LAST_PARTITION
from schemas.codec import FRAME, decode_as, encode
from schemas.errors import MessageError
from schemas.factors import FACTOR_NAMES
from schemas.logs import Position
from schemas.messages import FactorEvent, FactorRecord, Source, Status
from sinks.batching import RowBatch
from sinks.contract import Row
from sinks.identities import Identities
from sinks.recheck import row_digest
from sinks.tables import TABLES
from tests.processors.compare import VENUES, run
from tests.processors.feed import fresh
from tests.processors.recorded import path_of, read_records
from tests.sinks.decoded import decoder, rows_of
from tests.sinks.records import entry, event, factors

TABLE = TABLES["factors"]
PLACE = Position("factlogf", 3, 9)
VALUES = (0.0, -0.0, 5e-324, -5e-324, 1.7976931348623157e308, -1.7976931348623157e308, 0.1, 1 / 3, None)


def by_the_codec(payload: bytes) -> list[Row] | None:
    """The rows of a record decoded by itself; None where it is refused."""
    try:
        return TABLE.read(payload, PLACE)
    except MessageError:
        return None


def digests(rows: Sequence[Row] | None) -> list[bytes] | None:
    """The rows to the bit."""
    return None if rows is None else [row_digest(row) for row in rows]


def check(payload: bytes) -> bool:
    """Hold a payload's rows against the codec's; whether compiled code took it."""
    [found] = rows_of(payload)
    if found is not None:
        assert digests(found) == digests(by_the_codec(payload))
    return found is not None


names = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp"], exclude_characters=":"), min_size=1, max_size=40
)
times = st.integers(EARLIEST_NS, INT64_MAX) | st.sampled_from([EARLIEST_NS, 0, -1, INT64_MAX])
floats = st.sampled_from(VALUES) | st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def records(draw: st.DrawFn) -> FactorRecord:
    """Records of every kind that decodes, with values from a few drawn ones."""
    pool = draw(st.lists(floats, min_size=1, max_size=5))
    offsets = draw(st.sets(st.integers(0, INT64_MAX) | st.sampled_from([0, INT64_MAX]), min_size=1, max_size=6))
    events = [
        FactorEvent(
            source_offset=offset,
            sequence=draw(st.integers(INT64_MIN, INT64_MAX)),
            received_ns=draw(times),
            status=draw(st.sampled_from(Status)),
            values=tuple(pool[(at * 7 + number) % len(pool)] for at in range(len(FACTOR_NAMES))),
            exchange_ns=draw(times | st.none()),
        )
        for number, offset in enumerate(sorted(offsets))
    ]
    log, partition = draw(st.sampled_from(["l2logl2l", "A-_9zzzz"])), draw(st.integers(0, LAST_PARTITION))
    head = (draw(names), draw(names), draw(st.sampled_from(Source)), draw(st.text(max_size=20)), log, partition)
    return FactorRecord(*head, events, draw(st.text(max_size=40)))


def encoded(record: FactorRecord) -> bytes | None:
    """A record's bytes, where its texts are ones that may be written and read."""
    payload = encode(record)
    return payload if by_the_codec(payload) is not None else None


@given(st.lists(records(), min_size=1, max_size=5))
def test_generated_records_give_the_codecs_rows_to_the_bit(given_records: list[FactorRecord]) -> None:
    payloads = [payload for payload in map(encoded, given_records) if payload is not None]
    found = rows_of(*payloads)

    assert None not in found
    assert [digests(rows) for rows in found] == [digests(by_the_codec(payload)) for payload in payloads]


@given(st.lists(records(), min_size=1, max_size=5))
def test_an_insert_of_blocks_is_the_insert_of_rows(given_records: list[FactorRecord]) -> None:
    batches = RowBatch(TABLE), RowBatch(TABLE)
    for offset, payload in enumerate(payload for payload in map(encoded, given_records) if payload is not None):
        place = Position("factlogf", offset % 3, 2**40 + offset)
        one = entry(place, decode_as(FactorRecord, payload))
        [rows] = rows_of(payload)
        batches[0].add(one)
        batches[1].add(one._replace(rows=rows if offset % 4 != 2 else one.rows))  # type: ignore[arg-type] # decoded
    if batches[0].rows:
        by_rows, by_blocks = (batch.arrow(77) for batch in batches)
        assert by_blocks.schema == by_rows.schema
        assert by_blocks.equals(by_rows)
        assert by_blocks.column(0).num_chunks == 1


@pytest.mark.recorded
@pytest.mark.parametrize("venue", VENUES)
def test_recorded_factors_give_the_codecs_rows_to_the_bit(recordings: Path, venue: str) -> None:
    stream = read_records(path_of(recordings, venue), venue)[:600]
    columns = run(fresh(), stream)
    events = columns.events()
    head = (venue, "BTCUSDT", Source.REPLAY, "a1", "l2logl2l", 7)
    payloads = [encode(FactorRecord(*head, events[at : at + 100])) for at in range(0, len(events), 100)]

    found = rows_of(*payloads)
    assert [digests(rows) for rows in found] == [digests(by_the_codec(payload)) for payload in payloads]


def test_a_head_is_judged_by_the_codec_once(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = []

    def counting(kind: Any, payload: bytes) -> Any:
        judged.append(payload)
        return decode_as(kind, payload)

    monkeypatch.setattr("sinks.blocks.decode_as", counting)
    judging = decoder()
    payloads = [encode(factors(symbol, [at])) for at in range(20) for symbol in ("X", "Y")]
    for _ in range(2):
        assert None not in judging.rows(payloads)
    assert len(judged) == 2


def test_every_cut_of_a_record_is_left_to_the_codec_and_hurts_none_beside_it() -> None:
    whole = encode(factors("X", [1, 2]))
    good = encode(factors("Y", [5]))
    for cut in range(len(whole)):
        first, found, last = rows_of(good, whole[:cut], good)
        assert found is None
        assert digests(first) == digests(last) == digests(by_the_codec(good))


def test_a_record_cut_in_two_is_not_read_on_in_the_bytes_behind_it() -> None:
    whole = encode(factors("X", [1, 2]))
    for cut in range(1, len(whole)):
        assert rows_of(whole[:cut], whole[cut:]) == [None, None]


def test_no_flipped_byte_gives_other_rows_than_the_codecs() -> None:
    whole = encode(factors("X", [1, 2]))
    taken = 0
    for at in range(len(whole)):
        for flipped in (whole[at] ^ 0x01, whole[at] ^ 0x80, 0xFF):
            taken += check(whole[:at] + bytes([flipped]) + whole[at + 1 :])
    assert taken > 100


@given(st.binary(max_size=400), st.integers(0, 200))
def test_bytes_after_a_good_head_never_give_other_rows_than_the_codecs(tail: bytes, kept: int) -> None:
    whole = encode(factors("X", [1, 2]))
    [found] = rows_of(whole)
    assert found is not None
    check(whole[: FRAME.size + kept] + tail)


def long(value: int) -> bytes:
    """A number as Avro writes it."""
    rest, out = (value << 1) ^ (value >> 63), bytearray()
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*out, rest])


def split(record: FactorRecord) -> tuple[bytes, bytes]:
    """What precedes a record's events, and its events without count and end."""
    payload, one = encode(record), encode(msgspec.structs.replace(record, events=record.events[:1]))
    begin = next(at for at in range(len(one)) if payload[at] != one[at])
    return payload[:begin], payload[begin + len(long(len(record.events))) : -1]


@pytest.mark.parametrize(
    "count", [0, -1, -2, 3, 1, 256, 257, 2**31, 2**62, INT64_MAX, INT64_MIN], ids=lambda count: f"count={count}"
)
def test_a_count_that_is_not_the_number_of_events_is_left_to_the_codec(count: int) -> None:
    head, events = split(factors("X", [1, 2]))

    assert rows_of(head + long(count) + events + b"\0") == [None]


def test_events_in_blocks_as_avro_allows_are_left_to_the_codec_which_reads_them() -> None:
    head, events = split(factors("X", [1, 2]))
    with_size = head + long(-2) + long(len(events)) + events + b"\0"

    assert rows_of(with_size) == [None]
    assert digests(by_the_codec(with_size)) == digests(by_the_codec(encode(factors("X", [1, 2]))))


def test_a_number_that_is_longer_than_it_need_be_is_the_same_number() -> None:
    head, events = split(factors("X", [1, 2]))
    assert check(head + bytes([0x84, 0x80, 0x00]) + events + b"\0")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_left_to_the_codec(value: float) -> None:
    whole = encode(factors("X", [1]))
    one = next(number for number in event(1).values if number is not None)
    damaged = whole.replace(struct.pack("<d", one), struct.pack("<d", value))

    assert damaged != whole
    assert rows_of(damaged) == [None]
    assert by_the_codec(damaged) is None


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(encode(factors("X", [2, 1])), id="falling offsets"),
        pytest.param(encode(factors("X", [1, 1])), id="an offset twice"),
        pytest.param(encode(factors("X", [-1])), id="a negative offset"),
        pytest.param(encode(factors("X", [1], partition=LAST_PARTITION + 1)), id="a partition no column holds"),
        pytest.param(encode(factors("", [1])), id="no symbol"),
        pytest.param(encode(factors("X", [1], source_log="short")), id="no log"),
        pytest.param(encode(factors("X", [1])) + b"\0", id="a byte left over"),
        pytest.param(FRAME.pack(0, 4) + encode(factors("X", [1]))[5:], id="an older schema"),
        pytest.param(FRAME.pack(1, 12) + encode(factors("X", [1]))[5:], id="another frame"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_a_record_that_breaks_a_rule_is_left_to_the_codec(payload: bytes) -> None:
    assert rows_of(payload) == [None]


def test_rows_of_a_block_are_a_sequence_that_can_be_cut() -> None:
    [rows] = rows_of(encode(factors("X", [1, 3, 5, 7])))
    assert rows is not None

    assert len(rows) == 4
    assert [row[-1] for row in rows[1:][:2]] == [3, 5]
    assert rows[-1] == list(rows)[3]
    assert not rows[4:]
    with pytest.raises(IndexError):
        rows[4]
    with pytest.raises(ValueError, match="cut, not picked"):
        rows[::2]


@given(st.lists(st.sets(st.integers(0, 40), min_size=1, max_size=12), min_size=1, max_size=8), st.integers(-1, 40))
def test_stored_rows_are_told_from_new_ones_as_one_by_one(offsets: list[set[int]], stored: int) -> None:
    stream = TABLE.stream(TABLE.rows(factors("X", [0]), PLACE)[0])
    known = {} if stored < 0 else {stream: stored}
    of_blocks, of_rows = Identities(TABLE, known), Identities(TABLE, known)
    for each in offsets:
        payload = encode(factors("X", sorted(each)))
        [rows] = rows_of(payload)
        assert rows is not None
        found, wanted = of_blocks.sort(rows), of_rows.sort(TABLE.read(payload, PLACE))
        assert (list(found.new), list(found.repeated)) == (wanted.new, wanted.repeated)


def test_what_is_judged_of_a_block_is_what_is_judged_of_its_record() -> None:
    record = factors("X", [1, 4], partition=7)
    [rows] = rows_of(encode(record))
    assert rows is not None
    last = msgspec.structs.replace(record.events[-1], values=(), exchange_ns=None)

    assert rows.judged == msgspec.structs.replace(record, events=[last])
