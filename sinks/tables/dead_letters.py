"""`dead_letters`: one row a message that could not be used. The same letter may be written twice: read with FINAL."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from schemas.logs import Position
from schemas.messages import DeadLetter
from schemas.topics import DEAD_LETTERS as TOPIC
from sinks.contract import Column, Row, Table, integer, long_text, text, time


def rows(record: DeadLetter, position: Position) -> list[Row]:
    """One row. Its identity is the letter's own, so the position it was read at does not matter."""
    del position
    return [row_of(record)]


def row_of(letter: DeadLetter) -> Row:
    """The row of a letter, however it came."""
    return (
        letter.letter_id,
        letter.role,
        letter.reason,
        letter.error,
        letter.venue,
        letter.symbol,
        letter.source_topic,
        letter.source_partition,
        letter.source_offset,
        letter.received_ns,
        letter.payload,
        letter.payload_bytes,
    )


TABLE: Final = Table(
    "dead_letters",
    TOPIC,
    DeadLetter,
    (
        long_text("letter_id"),
        text("role"),
        text("reason"),
        long_text("error"),
        text("venue"),
        text("symbol"),
        text("source_topic"),
        Column("source_partition", "Int32", pa.int32()),
        integer("source_offset"),
        time("received_at"),
        Column("payload", "String", pa.binary()),
        integer("payload_bytes"),
    ),
    rows,
    identified=False,
)
