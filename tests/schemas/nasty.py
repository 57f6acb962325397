"""Records with values at and beyond every limit, made from the Avro schemas: what a stranger could write into a topic.

A field may hold whatever its schema can carry: integers of 64 bits, NaN, text with control characters, long arrays.
Nothing here knows what the codec allows.
"""

from __future__ import annotations

import io
import json
from functools import lru_cache
from random import Random
from typing import Any

import fastavro

from schemas.codec import FRAME, schema_text
from schemas.versions import SCHEMAS, SchemaVersion

LONGS = (
    *(sign * 2**bits + step for bits in (0, 8, 15, 16, 31, 32, 52, 53, 62) for sign in (1, -1) for step in (-1, 0, 1)),
    0,
    2**63 - 1,
    2**63 - 2,
    -(2**63),
    -(2**63) + 1,
    -2_208_988_800_000_000_000,
    -2_208_988_800_000_000_001,
    1_723_161_255_319_702_566,
    9_223_372_036_854,
    9_223_372_036_855,
)
INTS = (-(2**31), -2, -1, 0, 1, 65_535, 65_536, 2**31 - 1)
DOUBLES = (float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 5e-324, 1.7976931348623157e308, -1e300, 1.0, 1.5, -1.0)
STRINGS = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "\x1b[2J\x1b]0;x\x07",
    "\r\n",
    "\x7f",
    "\x85",
    "\u202eevil",
    "\u2028",
    "\\N",
    "\\",
    "'; DROP TABLE factors; --",
    "{x:String}",
    "%s%n",
    "0",
    "0.0",
    "1e-3",
    "-1",
    "0.1\n",
    "9" * 20 + "." + "9" * 20,
    "0." + "0" * 19 + "1",
    "BTC:USDT",
    "币安人生USDT",
    "\U0001f600" * 128,
    "é" * 4_000,
    "x" * 100_000,
)
RECORDS = {version.record: version for version in SCHEMAS}


@lru_cache
def schema_of(name: str) -> dict[str, Any]:
    """The newest Avro schema of a record."""
    return dict(json.loads(schema_text(RECORDS[name])))


@lru_cache
def _parsed(name: str) -> Any:
    return fastavro.parse_schema(schema_of(name))


def written(name: str, fields: dict[str, Any]) -> bytes:
    """A framed record of these raw fields, whatever they hold."""
    version: SchemaVersion = RECORDS[name]
    body = io.BytesIO()
    fastavro.schemaless_writer(body, _parsed(name), fields)
    return FRAME.pack(0, version.schema_id) + body.getvalue()


def raw_fields(name: str, payload: bytes) -> dict[str, Any]:
    """The raw fields of a framed record."""
    body = io.BytesIO(payload[FRAME.size :])
    return dict(fastavro.schemaless_reader(body, _parsed(name)))


def spoiled(name: str, fields: dict[str, Any], random: Random) -> dict[str, Any]:
    """The same fields with up to three of them replaced by something their schema can carry."""
    return _spoiled(schema_of(name), fields, random, random.choice((1, 1, 1, 2, 3)))


def _spoiled(schema: dict[str, Any], fields: dict[str, Any], random: Random, count: int) -> dict[str, Any]:
    found = dict(fields)
    chosen = random.sample(schema["fields"], count)
    for field in chosen:
        found[field["name"]] = _value(field["type"], found[field["name"]], random)
    return found


def _value(kind: Any, now: Any, random: Random) -> Any:
    if isinstance(kind, list):
        kind = random.choice(kind)
    if isinstance(kind, str):
        return _plain(kind, random)
    if kind["type"] == "array":
        return _array(kind["items"], now, random)
    if kind["type"] == "enum":
        return random.choice(kind["symbols"])
    return _value(kind["type"], now, random)


def _plain(kind: str, random: Random) -> Any:
    if kind in {"long", "int"}:
        return (
            random.choice(LONGS) if kind == "long" else random.choice((-(2**31), -2, -1, 0, 65_535, 65_536, 2**31 - 1))
        )
    if kind == "double":
        return random.choice(DOUBLES)
    if kind == "boolean":
        return random.random() < 0.5
    if kind == "bytes":
        return random.choice((b"", b"\x00", random.randbytes(70_000)))
    return None if kind == "null" else random.choice(STRINGS)


def _array(items: Any, now: list[Any] | None, random: Random) -> list[Any]:
    if isinstance(items, dict) and items.get("type") == "record":
        return _records(items, list(now or ()), random)
    return [_value(items, None, random) for _ in range(random.choice((0, 1, 3, 30)))]


def _records(schema: dict[str, Any], now: list[Any], random: Random) -> list[Any]:
    if not now or random.random() < 0.1:
        return []
    spoilt = [_spoiled(schema, one, random, random.choice((1, 2))) for one in now]
    return random.choice((spoilt, [*now, *spoilt], spoilt[::-1], now * 300))
