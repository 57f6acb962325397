"""What a field may hold, one type each: the codec refuses whatever lies outside.

A record that decodes fits its table: every range here lies within that of the column the field goes to, which
`tests/contract/test_bounds.py` holds against the real engine. Integers are bounded where they enter, so that nothing
behind the codec meets a number it cannot write.
"""

from __future__ import annotations

import sys
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from schemas.units import NS_PER_MS

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
EARLIEST_NS: Final = -2_208_988_800_000_000_000
"""1900-01-01, the earliest moment of ClickHouse's DateTime64."""
LATEST_NS: Final = INT64_MAX
"""2262-04-11: int64 ends before the column does."""
LAST_PARTITION: Final = 2**16 - 1
"""Highest partition that the tables' columns hold."""
LOG_CHARACTERS: Final = 8
"""First characters of a topic's id that records and rows carry: a topic made anew is another log."""
MAX_NAME: Final = 128
MAX_LABEL: Final = 256
MAX_TEXT: Final = 4_000
MAX_EVENTS: Final = 256
"""Most events a factor record may pack."""
MAX_LEVELS: Final = 400_000
"""Most levels of a record, both sides together. A level takes up to 20 bytes on the wire, so that the largest record,
with all its trades, stays below what the broker takes (8 MiB)."""
MAX_TRADES: Final = 10_000
"""Most trades of a delta."""
MAX_LATENCIES: Final = 8_192
"""Most latencies of a sketch: rounded to seven significant bits, 64 bits hold fewer."""
MAX_LETTER_TEXT: Final = 1_000
"""Where a dead letter's texts are cut."""
MAX_PAYLOAD_BYTES: Final = 64 * 1024
"""Where a dead letter's payload is cut."""

Int64: TypeAlias = Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)]
"""Any signed integer of 64 bits."""
Count: TypeAlias = Annotated[int, Meta(ge=0, le=INT64_MAX)]
"""A number of things, or a price or size on a grid: never negative."""
Few: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
"""A number of things that 32 bits hold."""
TimeNs: TypeAlias = Annotated[int, Meta(ge=EARLIEST_NS, le=LATEST_NS)]
"""A moment, ns since the epoch, UTC."""
Epoch: TypeAlias = Annotated[int, Meta(ge=0, le=LATEST_NS // NS_PER_MS)]
"""A producer's epoch: the time in ms at which it began, or one more than the one before."""
Partition: TypeAlias = Annotated[int, Meta(ge=0, le=LAST_PARTITION)]
"""A partition of a log."""
Offset: TypeAlias = Annotated[int, Meta(ge=0, le=INT64_MAX)]
"""An offset in a partition."""
PartitionOrNone: TypeAlias = Annotated[int, Meta(ge=-1, le=LAST_PARTITION)]
"""A partition, or -1 for none."""
OffsetOrNone: TypeAlias = Annotated[int, Meta(ge=-1, le=INT64_MAX)]
"""An offset, or -1 for none."""
Finite: TypeAlias = Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
"""A float that is neither infinite nor NaN: "no value" is null."""
Share: TypeAlias = Annotated[float, Meta(ge=0.0, le=1.0)]
"""A float from 0 to 1."""
Share100: TypeAlias = Annotated[int, Meta(ge=0, le=100)]
"""A share in whole percent."""
Weight: TypeAlias = Annotated[float, Meta(ge=0.0, le=sys.float_info.max)]
"""Evidence: how many times likelier one explanation makes what was seen than another."""
Duration: TypeAlias = Annotated[float, Meta(ge=0.0, le=sys.float_info.max)]
"""How long something took."""

# Neither control characters nor those that turn or break the line they are printed in.
_UNPRINTED: Final = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"
Venue: TypeAlias = Annotated[str, Meta(max_length=MAX_NAME, pattern=rf"\A[^:{_UNPRINTED}]+\Z")]
"""An exchange id. It holds no colon: the key of an instrument is `venue:symbol`."""
Symbol: TypeAlias = Annotated[str, Meta(max_length=MAX_NAME, pattern=rf"\A[^{_UNPRINTED}]+\Z")]
"""A venue's own symbol."""
LogName: TypeAlias = Annotated[str, Meta(pattern=rf"\A[A-Za-z0-9_-]{{{LOG_CHARACTERS}}}\Z")]
"""The first characters of a Kafka topic id."""
Decimal: TypeAlias = Annotated[str, Meta(pattern=r"\A(?=[0-9.]*[1-9])[0-9]{1,20}(?:\.[0-9]{1,20})?\Z")]
"""A plain decimal above zero, at most 20 digits on each side of the point."""
Amount: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9]{1,20}(?:\.[0-9]{1,20})?\Z")]
"""A plain decimal, never negative."""
SignedAmount: TypeAlias = Annotated[str, Meta(pattern=r"\A-?[0-9]{1,20}(?:\.[0-9]{1,20})?\Z")]
"""A plain decimal that may be negative."""
Label: TypeAlias = Annotated[str, Meta(max_length=MAX_LABEL)]
"""A short text: a version, an id, a name."""
Text: TypeAlias = Annotated[str, Meta(max_length=MAX_TEXT)]
"""A text for people, or of a model."""
Quoted: TypeAlias = Annotated[str, Meta(max_length=MAX_LETTER_TEXT)]
"""What a dead letter quotes, whatever it holds."""
Payload: TypeAlias = Annotated[bytes, Meta(max_length=MAX_PAYLOAD_BYTES)]
"""The bytes a dead letter keeps."""
Levels: TypeAlias = Annotated[list[Count], Meta(max_length=MAX_LEVELS)]
"""Prices or sizes of one side."""
TradePrices: TypeAlias = Annotated[list[Count], Meta(max_length=MAX_TRADES)]
"""Prices of trades."""
TradeSizes: TypeAlias = Annotated[list[Int64], Meta(max_length=MAX_TRADES)]
"""Signed sizes of trades."""
Latencies: TypeAlias = Annotated[list[Int64], Meta(max_length=MAX_LATENCIES)]
"""Latencies of a sketch, µs; below 0 where the other clock is ahead by more."""
LatencyCounts: TypeAlias = Annotated[list[Count], Meta(max_length=MAX_LATENCIES)]
"""How often each of them was."""
