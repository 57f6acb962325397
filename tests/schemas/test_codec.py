"""Records survive the wire bit for bit, and bad bytes are errors, never records."""

import contextlib
import io
import json
import math
from pathlib import Path

import avro.io
import avro.schema
import fastavro
import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas.bounds import EARLIEST_NS, INT64_MAX, INT64_MIN, LATEST_NS
from schemas.codec import FRAME, RECORD_TYPES, decode, decode_as, encode, schema_text
from schemas.errors import DecodeError, ImpossibleRecord
from schemas.factors import FACTORS, NO_FACTORS
from schemas.messages import DeadLetter, FactorEvent, FactorRecord, Kind, L2Record, Reason, Source, Status, TradeRecord
from schemas.units import NS_PER_MS
from schemas.versions import SCHEMAS, SchemaVersion
from tests.schemas.examples import example_files, load

INT64 = st.integers(INT64_MIN, INT64_MAX)
SIZE = st.integers(0, INT64_MAX)
TIME = st.integers(EARLIEST_NS, LATEST_NS)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
SYMBOL = st.from_regex(r"\A[A-Z0-9:_/.-]{1,12}\Z")


@st.composite
def l2_deltas(draw: st.DrawFn) -> L2Record:
    levels = st.lists(st.tuples(SIZE, SIZE), max_size=30)
    trades = draw(st.lists(st.tuples(SIZE, INT64), max_size=4))
    bids, asks = draw(levels), draw(levels)
    return L2Record(
        venue="binance",
        symbol=draw(SYMBOL),
        source=draw(st.sampled_from(Source)),
        kind=Kind.DELTA,
        epoch=draw(st.integers(0, LATEST_NS // NS_PER_MS)),
        sequence=draw(INT64),
        previous_sequence=draw(INT64),
        exchange_ns=draw(st.none() | TIME),
        received_ns=draw(TIME),
        tick_size="0.1",
        lot_size="0.001",
        bid_ticks=[price for price, _ in bids],
        bid_lots=[size for _, size in bids],
        ask_ticks=[price for price, _ in asks],
        ask_lots=[size for _, size in asks],
        trade_ticks=[price for price, _ in trades],
        trade_lots=[size for _, size in trades],
    )


@given(l2_deltas())
def test_a_delta_survives_the_wire(record: L2Record) -> None:
    assert decode(encode(record)) == record


@given(
    st.lists(
        st.none() | st.floats(allow_nan=False, allow_infinity=False), min_size=len(FACTORS), max_size=len(FACTORS)
    ),
    INT64,
)
def test_factor_values_survive_the_wire_bit_for_bit(values: list[float | None], sequence: int) -> None:
    event = FactorEvent(7, sequence, 1, Status.OK, tuple(values))
    record = FactorRecord("binance", "BTCUSDT", Source.LIVE, "a1", "abcdefgh", 3, [event])
    decoded = decode_as(FactorRecord, encode(record)).events[0].values
    assert [_bits(value) for value in decoded] == [_bits(value) for value in values]


def _bits(value: float | None) -> object:
    return None if value is None else (value, math.copysign(1.0, value))


@pytest.mark.parametrize("path", example_files(), ids=lambda path: f"{path.parents[1].name}-{path.stem}")
def test_an_example_survives_the_wire(path: Path) -> None:
    record = load(path)
    assert decode(encode(record)) == record


@pytest.mark.parametrize("path", example_files(), ids=lambda path: f"{path.parents[1].name}-{path.stem}")
def test_the_official_avro_library_reads_what_we_write(path: Path) -> None:
    payload = encode(load(path))
    version = next(v for v in SCHEMAS if v.schema_id == FRAME.unpack_from(payload)[1])
    body = io.BytesIO(payload[FRAME.size :])
    fields = avro.io.DatumReader(_official(version)).read(avro.io.BinaryDecoder(body))
    raw = json.loads(path.read_bytes())
    for name, value in raw.items():
        if name not in {"events", "payload"}:
            assert fields[name] == value, name
    assert body.read() == b""


@pytest.mark.parametrize("path", example_files(), ids=lambda path: f"{path.parents[1].name}-{path.stem}")
def test_a_record_cut_anywhere_or_extended_is_refused(path: Path) -> None:
    payload = encode(load(path))
    for cut in range(len(payload)):
        with pytest.raises((DecodeError, ImpossibleRecord)):
            decode(payload[:cut])
    with pytest.raises(DecodeError, match="left over"):
        decode(payload + b"\x00")


@given(st.binary(max_size=200), st.sampled_from(SCHEMAS))
def test_garbage_behind_a_good_frame_is_an_error_or_a_record_and_nothing_else(
    body: bytes, version: SchemaVersion
) -> None:
    with contextlib.suppress(DecodeError, ImpossibleRecord):
        assert decode(FRAME.pack(0, version.schema_id) + body)


@pytest.mark.parametrize("payload", [b"", b"\x00\x00", b"\x01\x00\x00\x00\x01aaa", b"\x00\x00\x00\x03\xe7aaa"])
def test_bytes_without_a_known_frame_are_refused(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(payload)


def test_a_record_of_another_type_is_refused() -> None:
    trade = next(load(path) for path in example_files() if path.parents[1].name == "trades")
    with pytest.raises(DecodeError, match="expected a L2Record, found a TradeRecord"):
        decode_as(L2Record, encode(trade))
    assert isinstance(decode_as(TradeRecord, encode(trade)), TradeRecord)


def _delta(**changes: object) -> L2Record:
    fields: dict[str, object] = {
        "venue": "binance",
        "symbol": "BTCUSDT",
        "source": Source.LIVE,
        "kind": Kind.DELTA,
        "epoch": 1,
        "sequence": 2,
        "previous_sequence": 1,
        "received_ns": 1,
        "tick_size": "0.01",
        "lot_size": "0.00001",
        **changes,
    }
    return L2Record(**fields)  # type: ignore[arg-type]  # the changes of a parametrised test


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"bid_ticks": [1]}, "differ in number"),
        ({"ask_lots": [1]}, "differ in number"),
        ({"trade_ticks": [1]}, "trades differ in number"),
        ({"previous_sequence": None}, "no previous_sequence"),
        ({"bid_ticks": [1], "bid_lots": [-1]}, r"bid_lots.*>= 0"),
        ({"ask_ticks": [-1], "ask_lots": [1]}, r"ask_ticks.*>= 0"),
        ({"kind": Kind.SNAPSHOT, "trade_ticks": [1], "trade_lots": [1]}, "carries trades"),
        ({"trade_ticks": [-1], "trade_lots": [1]}, r"trade_ticks.*>= 0"),
        ({"kind": Kind.INVALID}, "needs a reason"),
        ({"kind": Kind.INVALID, "reason": Reason.GAP, "bid_ticks": [1], "bid_lots": [1]}, "carries no levels"),
    ],
)
def test_a_record_that_breaks_its_own_rules_is_refused(changes: dict[str, object], problem: str) -> None:
    payload = encode(_delta(**changes))
    with pytest.raises(ImpossibleRecord, match=problem):
        decode(payload)


def test_a_value_beyond_int64_does_not_leave() -> None:
    with pytest.raises(ImpossibleRecord):
        encode(_delta(bid_ticks=[2**63], bid_lots=[1]))


@pytest.mark.parametrize("count", [0, 257])
def test_a_factor_record_packs_1_to_256_events(count: int) -> None:
    event = FactorEvent(1, 1, 1, Status.RESYNCING, NO_FACTORS)
    with pytest.raises(ImpossibleRecord, match="256"):
        encode(FactorRecord("v", "s", Source.LIVE, "a1", "abcdefgh", 0, [event] * count))


@pytest.mark.parametrize("count", [0, 257])
def test_a_factor_record_that_packs_none_or_too_many_is_refused_by_its_reader(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = FactorEvent(1, 1, 1, Status.RESYNCING, NO_FACTORS)
    with monkeypatch.context() as careless_writer:
        careless_writer.setattr(codec, "check_packed", lambda events: None)
        payload = encode(FactorRecord("v", "s", Source.LIVE, "a1", "abcdefgh", 0, [event] * count))

    with pytest.raises(ImpossibleRecord, match=f"packs {count} events"):
        decode(payload)


def test_a_letter_stays_small_whatever_it_quotes() -> None:
    huge = "S" * 9_000_000
    error = ImpossibleRecord("a level has a negative price or size", venue="v", symbol=huge)
    letter = DeadLetter(
        "log:0:1", "sink", error.reason, str(error), 1, huge.encode(), len(huge), venue="v", symbol=huge
    )
    read = decode_as(DeadLetter, encode(letter))

    assert len(encode(letter)) < 70_000
    assert (read.error, read.symbol) == (str(error)[:1_000], huge[:1_000])
    assert (len(read.payload), read.payload_bytes) == (65_536, 9_000_000)


def _official(version: SchemaVersion) -> avro.schema.Schema:
    return avro.schema.parse(schema_text(version))


@pytest.mark.parametrize("name", RECORD_TYPES)
def test_each_schema_version_reads_every_older_one(name: str) -> None:
    """BACKWARD compatibility, judged by the official avro package."""
    versions = [version for version in SCHEMAS if version.record == name]
    assert [version.version for version in versions] == list(range(1, len(versions) + 1))
    for newer in range(len(versions)):
        for older in range(newer + 1):
            assert _compatible(reader=_official(versions[newer]), writer=_official(versions[older]))


@pytest.mark.parametrize("path", example_files(), ids=lambda path: f"{path.parents[1].name}-{path.stem}")
def test_a_record_of_an_older_version_in_a_log_is_still_read(path: Path) -> None:
    record = load(path)
    versions = {f"v{one.version}": one for one in SCHEMAS if one.record == path.parents[1].name}
    version = versions[path.parent.name]
    body = io.BytesIO()
    fastavro.schemaless_writer(body, json.loads(schema_text(version)), codec._to_fields(record))

    read = decode(FRAME.pack(0, version.schema_id) + body.getvalue())

    assert read == record
    if version.version == 1 and isinstance(record, L2Record):
        assert (read.coverage, read.quote_flow_lots, read.run) == (None, None, "")  # type: ignore[union-attr]


def test_the_compatibility_check_fires_on_a_field_without_default() -> None:
    old = next(version for version in SCHEMAS if version.record == "resync")
    changed = json.loads(schema_text(old))
    changed["fields"].append({"name": "added", "type": "long"})
    assert not _compatible(reader=avro.schema.parse(json.dumps(changed)), writer=_official(old))


def _compatible(*, reader: avro.schema.Schema, writer: avro.schema.Schema) -> bool:
    result = ReaderWriterCompatibilityChecker().get_compatibility(reader, writer)
    return result.compatibility is SchemaCompatibilityType.compatible
