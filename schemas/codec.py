"""Bytes to records and back: Confluent framing (0x00, 4-byte schema id, Avro body), ids fixed in this file.

A record is written with the newest version of its schema and read with the version it names, so that old logs stay
readable. Whatever does not decode is a `DecodeError`; whatever decodes but has a value outside of its bounds
(`schemas/bounds.py`) or breaks the record's own rules (`schemas/rules.py`) is an `ImpossibleRecord`. Both are message
errors, to be dead-lettered while the partition goes on. What decodes fits its table.
"""

from __future__ import annotations

import io
import json
import struct
from importlib import resources
from operator import itemgetter
from typing import Any, TypeVar

import fastavro
import msgspec
from fastavro.types import Schema

from schemas.bounds import MAX_NAME
from schemas.dead_letters import cut_letter
from schemas.errors import DecodeError, ImpossibleRecord
from schemas.evaluations import RegimeEval
from schemas.factors import FACTOR_NAMES
from schemas.messages import (
    AnomalyEvent,
    ArbitrageEvent,
    DeadLetter,
    DerivativeRecord,
    FactorEvent,
    FactorRecord,
    FeedQuality,
    FeedStatus,
    L2Record,
    LlmCall,
    QuoteRecord,
    Record,
    RegimeEvent,
    ResyncRequest,
    SignalEvent,
    TradeRecord,
)
from schemas.rollouts import RolloutRecord
from schemas.rules import packing_problem, problem_of
from schemas.versions import SCHEMAS, SchemaVersion

MAGIC = 0
FRAME = struct.Struct(">bI")

R = TypeVar("R", bound=msgspec.Struct)


RECORD_TYPES: dict[str, type[Record]] = {
    "l2": L2Record,
    "trades": TradeRecord,
    "derivatives": DerivativeRecord,
    "feed-status": FeedStatus,
    "feed-quality": FeedQuality,
    "factors": FactorRecord,
    "resync": ResyncRequest,
    "dead-letters": DeadLetter,
    "regimes": RegimeEvent,
    "llm-calls": LlmCall,
    "signals": SignalEvent,
    "anomalies": AnomalyEvent,
    "quotes": QuoteRecord,
    "arbitrage": ArbitrageEvent,
    "rollout": RolloutRecord,
    "regime-eval": RegimeEval,
}
RECORD_NAMES: dict[type[Record], str] = {kind: name for name, kind in RECORD_TYPES.items()}


def schema_text(version: SchemaVersion) -> str:
    """The Avro schema as committed."""
    return (resources.files("schemas") / "avro" / version.filename).read_text(encoding="utf-8")


def schema_of(version: SchemaVersion) -> dict[str, Any]:
    """The Avro schema as committed, read."""
    return dict(json.loads(schema_text(version)))


def field_names(schema_id: int) -> tuple[str, ...]:
    """Name the fields of a schema in the order they are written."""
    return tuple(field["name"] for field in schema_of(_BY_ID[schema_id])["fields"])


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
        ImpossibleRecord: decodes, but a value lies outside of its bounds, or it breaks the record's own rules.
    """
    version = _version_of(payload)
    record = _to_record(version.record, _fields(payload, version))
    problem = problem_of(record)
    if problem:
        raise ImpossibleRecord(problem, **_whose(record))
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
        return msgspec.structs.asdict(cut_letter(record))
    return msgspec.structs.asdict(record)


def _factor_fields(record: FactorRecord) -> dict[str, Any]:
    check_packed(len(record.events))
    return {
        "venue": record.venue,
        "symbol": record.symbol,
        "source": record.source,
        "factor_set": record.factor_set,
        "source_log": record.source_log,
        "source_partition": record.source_partition,
        "run": record.run,
        "events": [_event_fields(event) for event in record.events],
    }


def check_packed(events: int) -> None:
    """Refuse a number of events that no factor record may pack. Raises ImpossibleRecord."""
    problem = packing_problem(events)
    if problem:
        raise ImpossibleRecord(problem)


def _event_fields(event: FactorEvent) -> dict[str, Any]:
    fields: dict[str, Any] = dict(zip(FACTOR_NAMES, event.values, strict=True))
    fields["source_offset"] = event.source_offset
    fields["sequence"] = event.sequence
    fields["exchange_ns"] = event.exchange_ns
    fields["received_ns"] = event.received_ns
    fields["decided_ns"] = event.decided_ns
    fields["status"] = event.status
    return fields


_values_of = itemgetter(*FACTOR_NAMES)


def _to_record(name: str, fields: dict[str, Any]) -> Record:
    if name == RECORD_NAMES[FactorRecord]:
        for event in fields["events"]:
            event["values"] = _values_of(event)
    try:
        return msgspec.convert(fields, RECORD_TYPES[name])
    except msgspec.ValidationError as error:
        raise ImpossibleRecord(
            f"a {name} record has a value it may not have ({_plain(error)})", **_named(fields)
        ) from None


def _plain(error: msgspec.ValidationError) -> str:
    """What is wrong with which field, cut: it may quote megabytes, and a pattern says nothing to people."""
    what, at, where = str(error).rpartition(" - at `$.")
    short = (what if at else where).split(" matching regex ")[0][:MAX_NAME]
    return f"{where.rstrip('`')}: {short}" if at else short


def _whose(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in ("venue", "symbol", "sequence") if hasattr(record, name)}


def _named(fields: dict[str, Any]) -> dict[str, Any]:
    """Whose the record says it is, as far as an error's sentence may carry it."""
    return {name: str(fields[name])[:MAX_NAME] for name in ("venue", "symbol") if name in fields}
