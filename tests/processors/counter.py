"""A third stage, as small as one can be: it counts the records of each canonical symbol, whatever the venue."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from processors.contract import NONE_OLDER, NOTHING, Batch, Count, Emit, Emitted, decode_each
from schemas.errors import DecodeError, MessageError
from schemas.places import Place, check_key
from schemas.topics import Topic
from schemas.units import MS_PER_DAY

TRADED = Topic(
    "traded.v1", "json", "canonical symbol", "delete", MS_PER_DAY, ("tests",), ("processors",), "what traded"
)
COUNTS = Topic("counts.v1", "json", "canonical symbol", "delete", MS_PER_DAY, ("processors",), ("tests",), "how often")
CHANGELOG = Topic("obflow-counter-counts-changelog", "checkpoint", "", "compact", -1, ("processors",), (), "counts")


class Traded(msgspec.Struct):
    """What was traded, and where."""

    base: str
    quote: str
    venue: str
    received_ns: int = 1


class CounterStage:
    """Counts."""

    name, role, label = "counter", "processor", "count"
    reads, changelog = TRADED, CHANGELOG
    writes: tuple[Topic, ...] = (COUNTS,)
    older = NONE_OLDER
    layout, outlives_log, names, decode_records, step_records = 1, False, None, 1_000, 50
    shares: tuple[str, ...] = ()

    def __init__(self, options: Any) -> None:
        pass

    def decode(self, payloads: Sequence[bytes | None]) -> list[Traded | MessageError]:
        return decode_each(_read, payloads)

    def check(self, record: Traded, place: Place) -> None:
        check_key(self.key(record), place)

    def key(self, record: Traded) -> str:
        return f"{record.base}-{record.quote}"

    def fresh(self, key: str) -> list[int]:
        return [0]

    def dump(self, state: list[int]) -> bytes:
        return struct.pack(">q", *state)

    def load(self, key: str, data: bytes) -> list[int]:
        if len(data) != 8:
            raise DecodeError(f"{len(data)} bytes are no count")
        return list(struct.unpack(">q", data))

    def connects(self, state: list[int], record: Traded) -> bool:
        return True

    def step(self, state: list[int], batch: Batch[Traded]) -> Emitted:
        emitted = []
        for offset, record in zip(batch.offsets, batch.records, strict=True):
            state[0] += 1
            value = json.dumps({"count": state[0], "venue": record.venue, "offset": offset}).encode()
            emitted.append(Emit(COUNTS, batch.key, value, offset, record.received_ns, by_key=True))
        return Emitted(emitted)

    def due(self, state: list[int], now_s: float) -> Emitted:
        return NOTHING

    def gauges(self, states: Iterable[list[int]], now_s: float) -> Iterator[Count]:
        return iter(())


def _read(payload: bytes) -> Traded:
    try:
        return msgspec.json.decode(payload, type=Traded)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DecodeError(str(error)) from error
