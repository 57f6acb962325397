"""Feeds to anomalies: `feed-status.v1` in, the beginning and the end of each time that a feed was stale out, in order.

Its records name places in the log of statuses, where all others of `anomalies.v1` name places in the books' log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import msgspec

from processors.anomalies.staleness import StaleState, take_status
from processors.anomalies.thresholds import ANOMALIES_VERSION
from processors.contract import NONE_OLDER, NOTHING, Batch, Count, Emit, Emitted, NamedPlaces, decode_each
from processors.derived.followed import read_state
from processors.derived.outcomes import outcome_counts
from schemas.codec import decode_as, encode
from schemas.errors import MessageError
from schemas.messages import FeedStatus
from schemas.places import Place, check_place
from schemas.topics import ANOMALIES, FEED_STATUS, STALENESS_CHANGELOG, Topic


class StalenessStage:
    """Keeps which feeds are stale."""

    name = "staleness"
    role = "staleness"
    label = "status"
    reads = FEED_STATUS
    writes: tuple[Topic, ...] = (ANOMALIES,)
    changelog = STALENESS_CHANGELOG
    layout = 1
    older = NONE_OLDER
    outlives_log = False
    names: NamedPlaces[StaleState, FeedStatus] | None = None
    shares: tuple[str, ...] = ()
    decode_records = 500
    step_records = 500

    def __init__(self, options: object) -> None:
        """It has no threshold: how long a feed may be silent is the producer's setting."""
        del options

    def decode(self, payloads: Sequence[bytes | None]) -> list[FeedStatus | MessageError]:
        """Decode records."""
        return decode_each(partial(decode_as, FeedStatus), payloads)

    def check(self, record: FeedStatus, place: Place) -> None:
        """Refuse a record of an instrument of another partition, and an epoch far ahead of the record's time."""
        check_place(record, place)

    def key(self, record: FeedStatus) -> str:
        """`venue:symbol`."""
        return f"{record.venue}:{record.symbol}"

    def fresh(self, key: str) -> StaleState:
        """No episode."""
        return StaleState()

    def dump(self, state: StaleState) -> bytes:
        """Write down the open episodes."""
        return msgspec.msgpack.encode(state)

    def load(self, key: str, data: bytes) -> StaleState:
        """Read them."""
        return read_state(data, StaleState)

    def connects(self, state: StaleState, record: FeedStatus) -> bool:
        """Always: statuses do not say which one they follow."""
        return True

    def step(self, state: StaleState, batch: Batch[FeedStatus]) -> Emitted:
        """Take statuses: one record for each episode that begins or ends."""
        emits, found = [], Counter[str]()
        for offset, record in zip(batch.offsets, batch.records, strict=True):
            event = take_status(state, record, (batch.log, batch.partition, offset), ANOMALIES_VERSION)
            if event is not None:
                found[f"stale_{event.action.value}"] += 1
                emits.append(Emit(ANOMALIES, batch.key, encode(event), offset, event.received_ns))
        return Emitted(emits, outcome_counts(found))

    def due(self, state: StaleState, now_s: float) -> Emitted:
        """Nothing: episodes begin and end by statuses alone."""
        return NOTHING

    def gauges(self, states: Iterable[StaleState], now_s: float) -> Iterator[Count]:
        """None."""
        return iter(())
