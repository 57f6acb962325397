"""A second engine, as small as one can be: it counts records, and says so in `bid_levels` of each event.

What it counts is in its checkpoints, so an event that was lost, repeated or computed from another state shows at once.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final

from orderbook.validity import Outcome, Validity
from processors.contract import NONE_OLDER, decode_each
from processors.factors.engine import FactorColumns
from processors.factors.weights import NO_TABLE, OfiTable
from schemas.codec import decode_as
from schemas.errors import DecodeError, MessageError
from schemas.factors import FACTOR_INDEX, FACTOR_NAMES
from schemas.messages import L2Record, Status

BYTES: Final = struct.Struct(">qq")
COUNTED: Final = FACTOR_INDEX["bid_levels"]


@dataclass
class Counted:
    """Records so far, and the epoch of the newest."""

    records: int = 0
    epoch: int = 0
    validity: Validity = Validity.LIVE


class CountingEngine:
    """Knows no book."""

    name = "counting"
    layout = 77
    older = NONE_OLDER
    taken: Mapping[str, int] = MappingProxyType({})

    def __init__(self, thin_notional: float, ofi_table: OfiTable = NO_TABLE) -> None:
        pass

    @staticmethod
    def exported(data: bytes) -> bytes:
        raise DecodeError("a count is no book")

    @staticmethod
    def imported(data: bytes) -> bytes:
        raise DecodeError("a book is no count")

    def decode(self, payloads: Sequence[bytes | None]) -> list[L2Record | MessageError]:
        return decode_each(partial(decode_as, L2Record), payloads)

    def rows(self, records: Sequence[L2Record]) -> Sequence[L2Record]:
        return records

    def fresh(self) -> Counted:
        return Counted()

    def step(self, state: Counted, offsets: Sequence[int], rows: Sequence[L2Record]) -> FactorColumns:
        result = FactorColumns()
        for offset, record in zip(offsets, rows, strict=True):
            state.records, state.epoch = state.records + 1, record.epoch
            values = [float(state.records) if index == COUNTED else None for index in range(len(FACTOR_NAMES))]
            result.append(offset, record, Status.THIN, tuple(values))
            result.outcomes[Outcome.APPLIED] += 1
        return result

    def judge(self, state: Counted, row: L2Record) -> Outcome:
        return Outcome.APPLIED

    def dump(self, state: Counted) -> bytes:
        return BYTES.pack(state.records, state.epoch)

    def load(self, data: bytes) -> Counted:
        if len(data) != BYTES.size:
            raise DecodeError(f"{len(data)} bytes are no count")
        return Counted(*BYTES.unpack(data))
