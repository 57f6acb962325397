"""Letters: what a sink writes of a record it cannot store, and how they are listed and sent again.

A letter's identity is the position of the record it is about, so that after a crash the same letter is written again,
not another one. Letters are on the log, acknowledged, before the insert that passes their records' offsets: after it
nobody would read them again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from obflow import kafka
from obflow.sending import Sender
from obflow.topics import topic_name
from schemas.codec import decode, encode
from schemas.errors import DeliveryFailed, MessageError, UsageError
from schemas.evaluations import RegimeEval
from schemas.logs import ORIGIN_HEADER, parse_origin
from schemas.messages import DeadLetter
from schemas.rollouts import REQUEST_KEY, STATE_KEY, RolloutRecord
from schemas.topics import BY_NAME, DEAD_LETTERS
from sinks.store import Store

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message, Producer

    from obflow.settings import Settings

ROLE: Final = "sink"
FULL_QUEUE_SECONDS: Final = 0.1


class LetterBox:
    """Publishes letters and waits until the broker has them.

    Args:
        settings: `kafka` and `producer` are used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = topic_name(settings, DEAD_LETTERS)
        self._producer: Producer | None = None

    def publish(self, letters: Iterable[DeadLetter]) -> None:
        """Publish and wait for every acknowledgement.

        Raises:
            DeliveryFailed: A letter was not acknowledged in time; nothing after its record may be stored.
        """
        failures: list[str] = []

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failures.append(str(error.str()))

        producer = self._producer = self._producer or kafka.producer(self._settings)  # most sinks never need one
        for letter in letters:
            self._send(producer, letter, delivered)
        unsent = producer.flush(kafka.sending(self._settings).delivery_timeout_seconds)
        if unsent or failures:
            raise DeliveryFailed(
                f"{unsent + len(failures)} dead letters were not acknowledged "
                f"({failures[0] if failures else 'no answer in time'})",
                next_step="nothing past their records was stored; the sink reads them again by itself",
            )

    def _send(
        self, producer: Producer, letter: DeadLetter, delivered: Callable[[KafkaError | None, Message], None]
    ) -> None:
        """Hand one letter over. A full queue empties by itself: what is in it is delivered, or fails in time."""
        give_up_s = time.monotonic() + kafka.sending(self._settings).delivery_timeout_seconds
        while True:
            try:
                producer.produce(self._topic, encode(letter), key=letter.letter_id.encode(), on_delivery=delivered)
            except BufferError:
                if time.monotonic() > give_up_s:
                    raise DeliveryFailed("dead letters wait for a broker that takes none") from None
                producer.poll(FULL_QUEUE_SECONDS)
            else:
                producer.poll(0)
                return


class Letter(NamedTuple):
    """A stored letter, without its payload.

    Attributes:
        letter_id, role, reason, error, venue, symbol, source_topic, source_partition, source_offset: As written.
        received_at: When the refused message was received, UTC, to the microsecond.
        payload_bytes: Its full length.
        is_cut: Whether the letter holds less than that.
    """

    letter_id: str
    role: str
    reason: str
    error: str
    venue: str
    symbol: str
    source_topic: str
    source_partition: int
    source_offset: int
    received_at: datetime
    payload_bytes: int
    is_cut: bool


LETTER_COLUMNS: Final = (
    "letter_id, role, reason, error, venue, symbol, source_topic, source_partition, source_offset, received_at, "
    "payload_bytes, length(payload) < payload_bytes"
)


def stored_letters(
    store: Store, *, reason: str = "", role: str = "", topic: str = "", limit: int = 100
) -> list[Letter]:
    """The newest letters in the table.

    Args:
        store: The database.
        reason: Only letters with this reason; empty for any.
        role: Only letters of this role; empty for any.
        topic: Only letters about records of this topic; empty for any.
        limit: At most this many.
    """
    rows = store.query(
        f"SELECT {LETTER_COLUMNS} FROM dead_letters FINAL "  # noqa: S608 (our own column names)
        "WHERE ({reason:String} IN ('', reason)) AND ({role:String} IN ('', role)) "
        "AND ({topic:String} IN ('', source_topic)) ORDER BY stored_at DESC, k_part, k_off DESC LIMIT {limit:UInt32}",
        {"reason": reason, "role": role, "topic": topic, "limit": limit},
    )
    return [Letter(*row) for row in rows]


def find_letters(store: Store, letter_id: str) -> list[tuple[Letter, bytes]]:
    """The letters of one identity, one a role that refused the message, each with the payload it holds."""
    rows = store.query(
        f"SELECT {LETTER_COLUMNS}, hex(payload) FROM dead_letters FINAL "  # noqa: S608 (our own column names)
        "WHERE letter_id = {letter_id:String} ORDER BY role",
        {"letter_id": letter_id},
    )
    return [(Letter(*row[:-1]), bytes.fromhex(row[-1])) for row in rows]


def redrive(settings: Settings, letter: Letter, payload: bytes) -> str:
    """Send a refused record to its topic again, as the record it was: its rows keep the identity they would have had.

    Args:
        settings: `kafka` and `producer` are used.
        letter: The letter.
        payload: What it holds.

    Returns:
        The topic's name on the broker.

    Raises:
        UsageError: It is not about a record, it holds only a part of one, the record is still unreadable, or it would
            come too late.
        DeliveryFailed: The record was not acknowledged.
    """
    topic = BY_NAME.get(letter.source_topic.removeprefix(settings.kafka.topic_prefix))
    if topic is None or parse_origin(letter.source_topic, letter.letter_id) is None:
        raise UsageError(f"letter {letter.letter_id} is about a frame, which has no topic to go back to")
    if letter.is_cut:
        raise UsageError(
            f"letter {letter.letter_id} holds {len(payload)} of {letter.payload_bytes} bytes, and half a record is none"
        )
    if topic.cleanup == "compact":  # sent again, it would be the newest of its key, and hold
        raise UsageError(
            f"a record of {topic.name} cannot be sent again: the newest of its key holds",
            next_step="it still lies in the log, and a table is filled from there",
        )
    if "sinks" not in topic.read_by:
        raise UsageError(
            f"a record of {topic.name} cannot be sent again: its readers need it in order",
            next_step="their books have been resynchronised since",
        )
    name = topic_name(settings, topic)
    with closing(Sender(settings)) as sender:
        sender.send(
            name,
            payload,
            key=_key(letter, payload),
            what=f"the record of letter {letter.letter_id}",
            headers=[(ORIGIN_HEADER, letter.letter_id.encode())],
        )
    return name


def _key(letter: Letter, payload: bytes) -> str:
    try:
        record = decode(payload)
    except MessageError as error:
        raise UsageError(
            f"the record of letter {letter.letter_id} is as unreadable as before: {error.cause}",
            next_step="upgrade to a version that knows it first",
        ) from error
    if isinstance(record, RolloutRecord):
        return STATE_KEY if record.action is None else REQUEST_KEY
    if isinstance(record, RegimeEval):
        return record.model
    return record.letter_id if isinstance(record, DeadLetter) else str(record.instrument)
