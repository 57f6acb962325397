"""Factor events in columns: what a batch of `factors.v1` becomes in compiled code. Nothing compiled is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.messages import Status

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Places = NDArray[np.int32]
Floats = NDArray[np.float64]

STATUSES: Final = tuple(Status)
"""By their places in the schema, and in `FactorEvents.status`."""
HEAD: Final = (
    *(("venue", "string"), ("symbol", "string"), ("source", "enum"), ("factor_set", "string")),
    *(("source_log", "string"), ("source_partition", "int"), ("run", "string"), ("events", "array")),
)
"""Fields of a record and their types, in the order they are read here."""
EVENT: Final = (
    *(("source_offset", "long"), ("sequence", "long"), ("exchange_ns", ["null", "long"]), ("received_ns", "long")),
    *(("decided_ns", ["null", "long"]), ("status", "enum")),
)
"""Likewise of an event, before its values."""
VALUE: Final = ["null", "double"]
SLOW: Final = -1
"""Instead of where the events of a record begin: it is left to the codec."""
SOURCE_OFFSET: Final = 0
SEQUENCE: Final = 1
RECEIVED_NS: Final = 2
EXCHANGE_NS: Final = 3
NUMBERS: Final = 4


class FactorEvents(NamedTuple):
    """What came of a batch.

    Attributes:
        heads: For each payload how many bytes precede its events, or SLOW: left to the codec.
        spans: For each payload its first event's place in the columns, and the one past its last.
        numbers: Columns of the integers: source offset, sequence, received_ns, exchange_ns (0 where there is none).
        has_exchange: Whether there is an exchange_ns.
        status: Place in STATUSES.
        values: A row a factor, a place an event; 0 for null.
        is_value: The same shape; false for null.
    """

    heads: Ints
    spans: Ints
    numbers: Ints
    has_exchange: Flags
    status: Places
    values: Floats
    is_value: Flags


def has_this_shape(schema: Mapping[str, Any], names: Sequence[str]) -> bool:
    """Whether a schema of `factors` has the fields that are read here, and these values in this order."""
    head, (*_, events) = schema["fields"], schema["fields"]
    event = events["type"]["items"]["fields"]
    statuses = [field["type"]["symbols"] for field in event if field["name"] == "status"]
    wanted = (*EVENT, *((name, VALUE) for name in names))
    return _typed(head) == HEAD and _typed(event) == wanted and statuses == [list(STATUSES)]


def _typed(fields: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, Any], ...]:
    kinds = (field["type"] for field in fields)
    names = (field["name"] for field in fields)
    return tuple(zip(names, (kind["type"] if isinstance(kind, dict) else kind for kind in kinds), strict=True))
