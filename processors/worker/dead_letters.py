"""Dead letters about records of a source log."""

from __future__ import annotations

from processors.worker.cut import SourceRecord
from schemas.dead_letters import instrument_of_key, letter_about_record
from schemas.errors import MessageError
from schemas.logs import LogId
from schemas.messages import DeadLetter
from schemas.units import NS_PER_MS


def dead_letter_of(log: LogId, partition: int, record: SourceRecord, error: MessageError, role: str) -> DeadLetter:
    """Make the dead letter of a record that cannot be used: the same one however often it is read.

    Args:
        log: Where it lies.
        partition: Its partition.
        record: It.
        error: Why.
        role: Who refuses it.
    """
    return letter_about_record(
        log.origin(partition, record.offset),
        record.value,
        record.timestamp * NS_PER_MS,
        error,
        role=role,
        instrument=instrument_of_key(record.key),
    )
