"""A message that could not be used, with its cause and origin."""

from __future__ import annotations

import msgspec

from schemas.bounds import Count, Label, OffsetOrNone, PartitionOrNone, Payload, Quoted, TimeNs


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """A message that could not be used, with its cause and origin (`dead-letters.v1`).

    Attributes:
        letter_id: Deterministic: `topic_id:partition:offset` for a record,
            `venue:connection:received_ns:counter` for a frame, so that the same letter written
            again after a crash is the same letter.
        role: Who refused it: producer, processor, regimes or sink.
        reason: The error's class name.
        error: The error's sentence, cut at `bounds.MAX_LETTER_TEXT` characters.
        venue, symbol: Where known, else empty; cut like the error.
        source_topic, source_partition, source_offset: Where the record lay; topic empty and -1 for frames.
        received_ns: When the refused message was received (a record: its Kafka time), ns UTC.
        payload: The bytes, cut at 64 KiB.
        payload_bytes: Their full length before the cut.
    """

    letter_id: Quoted
    role: Label
    reason: Label
    error: Quoted
    received_ns: TimeNs
    payload: Payload
    payload_bytes: Count
    venue: Quoted = ""
    symbol: Quoted = ""
    source_topic: Label = ""
    source_partition: PartitionOrNone = -1
    source_offset: OffsetOrNone = -1
