"""Dead letters about records of a source log."""

from __future__ import annotations

from processors.worker.cut import SourceLog, SourceRecord
from schemas.errors import MessageError
from schemas.messages import MAX_PAYLOAD_BYTES, DeadLetter, InstrumentKey

NS_PER_MS = 1_000_000


def dead_letter_of(log: SourceLog, partition: int, record: SourceRecord, error: MessageError, role: str) -> DeadLetter:
    """Make the dead letter of a record that cannot be used: the same one however often it is read.

    Args:
        log: Where it lies.
        partition: Its partition.
        record: It.
        error: Why.
        role: Who refuses it.
    """
    instrument = InstrumentKey.parse((record.key or b"").decode("utf-8", "replace"))
    payload = record.value or b""
    return DeadLetter(
        letter_id=f"{log.topic_id}:{partition}:{record.offset}",
        role=role,
        reason=error.reason,
        error=str(error),
        received_ns=record.timestamp * NS_PER_MS,
        payload=payload[:MAX_PAYLOAD_BYTES],
        payload_bytes=len(payload),
        venue=instrument.venue if instrument.symbol else "",
        symbol=instrument.symbol,
        source_topic=log.topic,
        source_partition=partition,
        source_offset=record.offset,
    )
