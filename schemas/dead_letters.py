"""The one way to make a dead letter: its identity, what it quotes, and where that is cut.

A letter about the same record, or the same frame, has the same `letter_id` however often and by whomever it is written,
so that a crash between writing the letter and saving the offset leaves one letter, not two.
"""

from __future__ import annotations

from msgspec.structs import replace

from schemas.bounds import MAX_LETTER_TEXT, MAX_PAYLOAD_BYTES
from schemas.errors import PipelineError
from schemas.logs import Origin
from schemas.messages import DeadLetter, InstrumentKey

NOWHERE = InstrumentKey("", "")


def letter_about_record(
    origin: Origin,
    payload: bytes | None,
    appended_ns: int,
    error: PipelineError,
    *,
    role: str,
    instrument: InstrumentKey = NOWHERE,
) -> DeadLetter:
    """Make the letter about a record of a topic.

    Args:
        origin: Where it lies; the letter's identity.
        payload: Its bytes; None is a record without a value.
        appended_ns: Kafka's time of it, ns UTC.
        error: Why it was refused: its class and its sentence are the letter's, and its context names the instrument
            where nothing else does.
        role: Who refuses it.
        instrument: Whose record it is, where known.
    """
    letter = _letter(origin.text, payload or b"", appended_ns, error, role, instrument)
    return replace(letter, source_topic=origin.topic, source_partition=origin.partition, source_offset=origin.offset)


def letter_about_frame(
    frame_id: str, frame: bytes, received_ns: int, error: PipelineError, *, role: str, instrument: InstrumentKey
) -> DeadLetter:
    """Make the letter about a venue's frame, or a part of one, which lies in no log.

    Args:
        frame_id: `venue:connection:received_ns:counter`, the same in every replay of a recording.
        frame: The bytes as received; empty where they were too many to be read.
        received_ns: When, ns UTC.
        error: Why it was refused.
        role: Who refuses it.
        instrument: The venue, and the symbol where known.
    """
    return _letter(frame_id, frame, received_ns, error, role, instrument)


def instrument_of_key(key: bytes | None) -> InstrumentKey:
    """Read whose record it is from a Kafka key, `venue:symbol`; both are empty where it is no such key."""
    instrument = InstrumentKey.parse((key or b"").decode("utf-8", "replace"))
    return instrument if instrument.symbol else NOWHERE


def cut_letter(letter: DeadLetter) -> DeadLetter:
    """Cut a letter's texts and payload: what it quotes, a name in a key or a symbol, may be megabytes long."""
    texts = {name: getattr(letter, name)[:MAX_LETTER_TEXT] for name in ("error", "venue", "symbol")}
    return replace(letter, **texts, payload=letter.payload[:MAX_PAYLOAD_BYTES])


def _letter(
    letter_id: str, quoted: bytes, received_ns: int, error: PipelineError, role: str, instrument: InstrumentKey
) -> DeadLetter:
    letter = DeadLetter(
        letter_id=letter_id,
        role=role,
        reason=error.reason,
        error=str(error),
        received_ns=received_ns,
        payload=quoted,
        payload_bytes=len(quoted),
        venue=instrument.venue or str(error.context.get("venue", "")),
        symbol=instrument.symbol or str(error.context.get("symbol", "")),
    )
    return cut_letter(letter)
