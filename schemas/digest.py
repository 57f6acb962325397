"""The canonical digest of a stream of factor events: what "the same result" means.

Per instrument, in source order: SHA-256 over (sequence, exchange_ns, received_ns, status, each factor's IEEE-754 bits
or null). Offsets, epochs and Kafka times are left out, so that a replay through Kafka, at any speed, with any batches,
workers and crashes, and the replay in memory give the same digest.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable

from schemas.messages import FactorEvent, Status

_STATUS_CODE: dict[Status, int] = {status: code for code, status in enumerate(Status)}
_HEAD = struct.Struct(">qqqBB")
_NULL = b"\x00"
_VALUE = struct.Struct(">Bd")


class EventDigest:
    """Digest of one instrument's events, fed in source order."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.events = 0

    def update(self, event: FactorEvent) -> None:
        """Add one event."""
        self._hash.update(event_bytes(event))
        self.events += 1

    def hexdigest(self) -> str:
        """The digest of all events so far, hexadecimal."""
        return self._hash.hexdigest()


def event_bytes(event: FactorEvent) -> bytes:
    """The canonical bytes of one event: what the digest covers and what two sendings of one event must agree in."""
    has_exchange = event.exchange_ns is not None
    head = _HEAD.pack(
        event.sequence, event.exchange_ns or 0, event.received_ns, has_exchange, _STATUS_CODE[event.status]
    )
    return head + b"".join(_NULL if value is None else _VALUE.pack(1, value) for value in event.values)


def digest(events: Iterable[FactorEvent]) -> str:
    """Digest of a whole stream of one instrument's events."""
    whole = EventDigest()
    for event in events:
        whole.update(event)
    return whole.hexdigest()
