"""Bytes to records and back: Confluent framing (0x00, 4-byte schema id, Avro body), ids fixed in this file.

A record is written with the newest version of its schema and read with the version it names, so that old logs stay
readable. Whatever does not decode is a `DecodeError`, whatever decodes but breaks the record's own rules an
`ImpossibleRecord`: both are message errors, to be dead-lettered while the partition goes on.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any, TypeVar

import fastavro
import msgspec
from fastavro.types import Schema

from schemas.errors import DecodeError, ImpossibleRecord
from schemas.factors import FACTOR_NAMES
from schemas.messages import (
    MAX_EVENTS,
    MAX_LETTER_TEXT,
    MAX_PAYLOAD_BYTES,
    DeadLetter,
    FactorEvent,
    FactorRecord,
    FeedStatus,
    Kind,
    L2Record,
    LlmCall,
    Record,
    RegimeEvent,
    ResyncRequest,
    Status,
    TradeRecord,
)
from schemas.versions import SCHEMAS, SchemaVersion

MAGIC = 0
FRAME = struct.Struct(">bI")
INT64_MAX = 2**63 - 1

R = TypeVar("R", bound=msgspec.Struct)


RECORD_TYPES: dict[str, type[Record]] = {
    "l2": L2Record,
    "trades": TradeRecord,
    "feed-status": FeedStatus,
    "factors": FactorRecord,
    "resync": ResyncRequest,
    "dead-letters": DeadLetter,
    "regimes": RegimeEvent,
    "llm-calls": LlmCall,
}
RECORD_NAMES: dict[type[Record], str] = {kind: name for name, kind in RECORD_TYPES.items()}


def schema_text(version: SchemaVersion) -> str:
    """The Avro schema as committed."""
    return (resources.files("schemas") / "avro" / version.filename).read_text(encoding="utf-8")


def _parsed(version: SchemaVersion) -> Schema:
    return fastavro.parse_schema(json.loads(schema_text(version)))


_BY_ID: dict[int, SchemaVersion] = {version.schema_id: version for version in SCHEMAS}
_NEWEST: dict[str, SchemaVersion] = {version.record: version for version in SCHEMAS}
_PARSED: dict[int, Schema] = {version.schema_id: _parsed(version) for version in SCHEMAS}


def encode(record: Record) -> bytes:
    """Frame and encode one record with the newest version of its schema.

    Raises:
        ImpossibleRecord: a value does not fit the schema (beyond int64, a wrong type).
    """
    name = RECORD_NAMES[type(record)]
    schema_id = _NEWEST[name].schema_id
    fields = _to_fields(record)
    buffer = io.BytesIO()
    buffer.write(FRAME.pack(MAGIC, schema_id))
    try:
        fastavro.schemaless_writer(buffer, _PARSED[schema_id], fields)
    except (ValueError, TypeError, OverflowError, KeyError, AttributeError) as error:
        raise ImpossibleRecord(f"a {name} record does not fit its schema ({error})") from error
    return buffer.getvalue()


def decode(payload: bytes) -> Record:
    """Decode any framed record, whatever its type.

    Raises:
        DecodeError: not framed, an unknown schema id, cut short, or bytes left over.
        ImpossibleRecord: decodes, but breaks the record's own rules.
    """
    version = _version_of(payload)
    record = _TO_RECORD[version.record](_fields(payload, version))
    if isinstance(record, L2Record):
        check_l2(record)
    return record


def decode_as(kind: type[R], payload: bytes) -> R:
    """Decode a framed record that must be of one type.

    Raises:
        DecodeError: as `decode`, or the record is of another type.
        ImpossibleRecord: as `decode`.
    """
    record: object = decode(payload)
    if not isinstance(record, kind):
        raise DecodeError(f"expected a {kind.__name__}, found a {type(record).__name__}")
    return record


def _version_of(payload: bytes) -> SchemaVersion:
    if len(payload) < FRAME.size:
        raise DecodeError(f"a record of {len(payload)} bytes has no frame")
    magic, schema_id = FRAME.unpack_from(payload)
    if magic != MAGIC or schema_id not in _BY_ID:
        raise DecodeError(f"unknown frame (magic {magic}, schema id {schema_id})")
    return _BY_ID[schema_id]


def _fields(payload: bytes, version: SchemaVersion) -> dict[str, Any]:
    buffer = io.BytesIO(payload)
    buffer.seek(FRAME.size)
    newest = _NEWEST[version.record]
    reader = None if newest == version else _PARSED[newest.schema_id]
    try:
        fields = fastavro.schemaless_reader(buffer, _PARSED[version.schema_id], reader)
    # fastavro has no error type of its own for bad bytes: each of these is what some cut or flipped byte raises.
    except (
        EOFError,
        IndexError,
        ValueError,
        TypeError,
        KeyError,
        OverflowError,
        MemoryError,
        StopIteration,
    ) as error:
        raise DecodeError(f"a {version.record} record does not decode ({type(error).__name__})") from error
    if buffer.tell() != len(payload):
        raise DecodeError(f"a {version.record} record has {len(payload) - buffer.tell()} bytes left over")
    return dict(fields)


def _to_fields(record: Record) -> dict[str, Any]:
    if isinstance(record, FactorRecord):
        return _factor_fields(record)
    if isinstance(record, DeadLetter):
        return _letter_fields(record)
    return msgspec.structs.asdict(record)


def _factor_fields(record: FactorRecord) -> dict[str, Any]:
    _check_packed(len(record.events))
    return {
        "venue": record.venue,
        "symbol": record.symbol,
        "source": record.source,
        "factor_set": record.factor_set,
        "source_log": record.source_log,
        "source_partition": record.source_partition,
        "events": [_event_fields(event) for event in record.events],
    }


def _check_packed(events: int) -> None:
    if not 0 < events <= MAX_EVENTS:
        raise ImpossibleRecord(f"a factors record packs {events} events, not 1 to {MAX_EVENTS}")


def _event_fields(event: FactorEvent) -> dict[str, Any]:
    fields: dict[str, Any] = dict(zip(FACTOR_NAMES, event.values, strict=True))
    fields["source_offset"] = event.source_offset
    fields["sequence"] = event.sequence
    fields["exchange_ns"] = event.exchange_ns
    fields["received_ns"] = event.received_ns
    fields["status"] = event.status
    return fields


def _letter_fields(letter: DeadLetter) -> dict[str, Any]:
    """A letter must never be too large to leave: what it quotes, a name in a key or a symbol, may be megabytes long."""
    fields = msgspec.structs.asdict(letter)
    texts = {name: fields[name][:MAX_LETTER_TEXT] for name in ("error", "venue", "symbol")}
    return {**fields, **texts, "payload": letter.payload[:MAX_PAYLOAD_BYTES]}


_STATUS: dict[str, Status] = {status.value: status for status in Status}


def _to_event(fields: Mapping[str, Any]) -> FactorEvent:
    return FactorEvent(
        source_offset=fields["source_offset"],
        sequence=fields["sequence"],
        exchange_ns=fields["exchange_ns"],
        received_ns=fields["received_ns"],
        status=_STATUS[fields["status"]],
        values=tuple([fields[name] for name in FACTOR_NAMES]),
    )


def _to_factor_record(fields: dict[str, Any]) -> FactorRecord:
    packed = fields.pop("events")
    _check_packed(len(packed))
    events = [_to_event(event) for event in packed]
    return msgspec.convert({**fields, "events": events}, FactorRecord)


def _converter(kind: type[Record]) -> Callable[[dict[str, Any]], Record]:
    def to_record(fields: dict[str, Any]) -> Record:
        try:
            return msgspec.convert(fields, kind)
        except msgspec.ValidationError as error:
            raise ImpossibleRecord(f"a {RECORD_NAMES[kind]} record has a value it may not have ({error})") from error

    return to_record


_TO_RECORD: dict[str, Callable[[dict[str, Any]], Record]] = {
    **{name: _converter(kind) for name, kind in RECORD_TYPES.items()},
    "factors": _to_factor_record,
}


def check_l2(record: L2Record) -> None:
    """The rules of an L2 record that Avro cannot say.

    Raises:
        ImpossibleRecord: arrays of a side differ in length; a negative price or size; a delta without
            `previous_sequence`; an invalid without reason or with levels; trades on anything but a delta, or of a
            negative price.
    """
    problem = _l2_problem(record)
    if problem:
        raise ImpossibleRecord(problem, venue=record.venue, symbol=record.symbol, sequence=record.sequence)


def _l2_problem(record: L2Record) -> str:
    if len(record.bid_ticks) != len(record.bid_lots) or len(record.ask_ticks) != len(record.ask_lots):
        return "prices and sizes of a side differ in number"
    if len(record.trade_ticks) != len(record.trade_lots):
        return "prices and sizes of the trades differ in number"
    if record.trade_ticks and record.kind is not Kind.DELTA:
        return f"a {record.kind} carries trades"
    if record.kind is Kind.DELTA and record.previous_sequence is None:
        return "a delta has no previous_sequence"
    if record.kind is Kind.INVALID and (record.reason is None or record.bid_ticks or record.ask_ticks):
        return "an invalid needs a reason and carries no levels"
    levels = (record.bid_ticks, record.bid_lots, record.ask_ticks, record.ask_lots)
    if any(values and min(values) < 0 for values in levels):
        return "a level has a negative price or size"
    if record.trade_ticks and min(record.trade_ticks) < 0:
        return "a trade has a negative price"
    return ""
