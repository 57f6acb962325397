"""`obflow tail`: the records of a topic, decoded, as they come."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from obflow.cli import emit_json, load_settings, stop_on_signal
from obflow.durations import seconds_of
from obflow.terminal import say
from schemas.errors import MessageError, UsageError

if TYPE_CHECKING:
    import threading

    from confluent_kafka import Consumer, Message

    from obflow.settings import Settings
    from schemas.messages import Record
    from schemas.topics import Topic

SHOWN_ITEMS: Final = 4
"""Items of a list that are shown to a person; JSON has all."""
SHOWN_FIELDS: Final = 12
"""The same of fields within a record: of a factor event its first values, up to the best five levels' imbalance."""
READER: Final = "obflow-tail"


class TailedRecord(NamedTuple):
    """A record as it is shown.

    Attributes:
        partition, offset: Where it lies.
        written_ms: Kafka's time of it, ms UTC.
        record: Its fields; None where it does not decode.
        error: Why it does not.
    """

    partition: int
    offset: int
    written_ms: int
    record: dict[str, Any] | None
    error: str


def tail(
    topic: Annotated[str, typer.Argument(help="A topic, as factors.v1; its version may be left out.")],
    instrument: Annotated[
        str | None, typer.Option(help="Only this one: venue:symbol, or a symbol of any venue.", metavar="NAME")
    ] = None,
    start: Annotated[
        str, typer.Option("--from", help="start, end, or how far back, as 60s or 5m.", metavar="WHERE")
    ] = "end",
    count: Annotated[int | None, typer.Option(help="End after so many records.", min=1)] = None,
    json: Annotated[bool, typer.Option("--json", help="Print each record as one JSON object on a line.")] = False,
) -> None:
    """Show the records of a topic as they come, decoded; Ctrl-C ends it. Nothing is committed, nobody is disturbed.

    Example: obflow tail factors --instrument BTCUSDT --from 5m --json
    """
    from obflow import kafka, kafka_logs
    from obflow.tail_silence import TailSilence
    from obflow.topics import topic_name

    declared = _declared(topic)
    back_s = None if start in ("start", "end") else seconds_of("--from", start)
    settings = load_settings()
    name = topic_name(settings, declared)
    known = kafka_logs.topic_ids(settings, [name])  # a sentence where the broker or the topic is not there
    silence = TailSilence(settings, name, known[name], instrument)
    with stop_on_signal() as stop, closing(kafka.consumer(settings, READER)) as consumer:
        _assign(consumer, settings, name, start, back_s)
        shown = 0
        for one in _records(consumer, stop):
            if one is None or (instrument is not None and not _is_of(one, instrument)):
                silence.note(time.monotonic(), one.record if one else None)
                continue
            silence.end()
            emit_json({"topic": name, **one._asdict()}) if json else say(line_of(one))
            shown += 1
            if shown == count:
                return


def _declared(name: str) -> Topic:
    from obflow.settings import nearest
    from schemas.topics import TOPICS

    readable = {topic.name: topic for topic in TOPICS if topic.record != "checkpoint"}
    short = {key.rpartition(".v")[0]: topic for key, topic in readable.items()}
    if found := readable.get(name) or short.get(name):
        return found
    close = nearest(name, [*readable, *short])
    step = f"did you mean {close}?" if close else f"there are {', '.join(readable)}"
    raise UsageError(f"there is no topic {name}", next_step=step)


def _assign(consumer: Consumer, settings: Settings, name: str, start: str, back_s: float | None) -> None:
    from confluent_kafka import TopicPartition

    from obflow import kafka_logs

    offsets = (
        kafka_logs.start_offsets(settings, [name]) if start == "start" else kafka_logs.end_offsets(settings, [name])
    )
    places = [TopicPartition(topic, part, offset) for (topic, part), offset in offsets.items()]
    if back_s is not None:
        since_ms = int((time.time() - back_s) * 1000)
        asked = [TopicPartition(place.topic, place.partition, since_ms) for place in places]
        found = consumer.offsets_for_times(asked, settings.kafka.request_timeout_seconds)
        places = [one if one.offset >= 0 else end for one, end in zip(found, places, strict=True)]
    consumer.assign(places)


def _records(consumer: Consumer, stop: threading.Event) -> Iterator[TailedRecord | None]:
    """The records that come, and None in each moment without any."""
    while not stop.is_set():
        came = [message for message in consumer.consume(500, 0.2) if message.error() is None]
        yield from map(shown_record, came)
        if not came:
            yield None


def shown_record(message: Message) -> TailedRecord:
    """Decode what a message holds, or say why that cannot be done."""
    from schemas.codec import decode

    where = (int(message.partition() or 0), int(message.offset() or 0), int(message.timestamp()[1]))
    try:
        return TailedRecord(*where, _fields(decode(message.value() or b"")), "")
    except MessageError as error:
        return TailedRecord(*where, None, error.cause)


def _fields(record: Record) -> dict[str, Any]:
    """Fields by name; a factor event's values by the factors' names."""
    import msgspec

    from schemas.factors import FACTOR_NAMES
    from schemas.messages import FactorRecord

    fields: dict[str, Any] = msgspec.to_builtins(record, builtin_types=(bytes,))
    if isinstance(record, FactorRecord):
        names = FACTOR_NAMES
        fields["events"] = [
            {
                **{field: getattr(event, field) for field in event.__struct_fields__ if field != "values"},
                "values": dict(zip(names, event.values, strict=True)),
            }
            for event in record.events
        ]
    return fields


def _is_of(one: TailedRecord, instrument: str) -> bool:
    if one.record is None:
        return False
    venue, symbol = one.record.get("venue", ""), one.record.get("symbol", "")
    return instrument in (symbol, f"{venue}:{symbol}")


def line_of(one: TailedRecord) -> str:
    """A record on one line, long lists and fields of many values cut."""
    written = datetime.fromtimestamp(one.written_ms / 1000, UTC)
    head = f"{written:%H:%M:%S}.{one.written_ms % 1000:03d}  {one.partition}@{one.offset}"
    if one.record is None:
        return f"{head}  not readable: {one.error}"
    return f"{head}  {' '.join(f'{name}={_short(value)}' for name, value in one.record.items())}"


def _short(value: object) -> str:
    if isinstance(value, list):
        more = f" … {len(value)}" if len(value) > SHOWN_ITEMS else ""
        return f"[{', '.join(map(_short, value[:SHOWN_ITEMS]))}{more}]"
    if isinstance(value, dict):
        more = f" … {len(value)}" if len(value) > SHOWN_FIELDS else ""
        fields = (f"{name}: {_short(inner)}" for name, inner in islice(value.items(), SHOWN_FIELDS))
        return "{" + ", ".join(fields) + more + "}"
    return "–" if value is None else str(value)
