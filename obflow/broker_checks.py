"""What `obflow doctor` asks the broker: whether it answers, its topics, the newest record of each, and its clock."""

from __future__ import annotations

import time
from collections.abc import Iterable

from obflow import kafka, kafka_logs, topics
from obflow.clock_offsets import ClockLook, clock_finding
from obflow.findings import Check, failed
from obflow.records_at import PEEK_SECONDS, RecordAt, read_at
from obflow.settings import Settings
from schemas.codec import RECORD_TYPES, decode
from schemas.errors import MessageError, PipelineError
from schemas.masking import mask_credentials
from schemas.topics import TOPICS, Topic


def broker_checks(settings: Settings) -> list[Check]:
    """Look at the broker: whether it answers, its topics, and what is in them."""
    try:
        brokers = kafka.require_broker(settings)
    except PipelineError as error:
        unseen = "not known while no broker answers"
        return [failed("broker", error), Check("topics", False, unseen), Check("records", False, unseen)]
    address = mask_credentials(settings.kafka.bootstrap_servers)
    return [
        Check("broker", True, f"{brokers} broker{'s' if brokers > 1 else ''} at {address}"),
        _topics(settings),
        *_newest(settings),
    ]


def _topics(settings: Settings) -> Check:
    differences = topics.check(settings)
    if not differences:
        return Check("topics", True, f"all {len(TOPICS)} as declared")
    mendable = all(difference.mendable for difference in differences)
    remedy = (
        "`obflow topics apply`" if mendable else "set kafka.partitions to what is there, or a new kafka.topic_prefix"
    )
    return Check("topics", False, "; ".join(map(str, differences)), remedy)


def _newest(settings: Settings) -> list[Check]:
    """Judge the newest record of each topic: whether this version writes and reads it, and when it was written."""
    places = _newest_places(settings)
    found = read_at(settings, {partition: offset for partition, (offset, _) in places.items()})
    heard_s = time.time()
    problems = [
        f"{topic_name}[{partition}]@{offset}: {problem}"
        for (topic_name, partition), (offset, topic) in places.items()
        if (problem := _record_problem(topic, found.get((topic_name, partition))))
    ]
    return [_records(problems, len(places)), *_broker_clock(found.values(), heard_s)]


def _records(problems: list[str], count: int) -> Check:
    if problems:
        remedy = "another version of obflow writes there: upgrade, or set kafka.topic_prefix"
        return Check("records", False, "; ".join(problems), remedy)
    return Check("records", True, f"the newest of {count} topics decode" if count else "no records yet")


def _broker_clock(found: Iterable[RecordAt], heard_s: float) -> list[Check]:
    """A record cannot have been written later than it was read; that a clock is behind no record shows."""
    newest_ms = max((record.written_ms for record in found), default=-1)
    if newest_ms < 0:
        return []
    # It may have been written at any time before.
    look = ClockLook("the broker", newest_ms / 1000, min(heard_s, newest_ms / 1000), heard_s)
    return [check for check in [clock_finding("broker clock", look)] if not check.ok]


def _record_problem(topic: Topic, record: RecordAt | None) -> str:
    if record is None:
        return f"it cannot be read within {PEEK_SECONDS:g} s"
    if record.value is None:
        return "it has no value"
    try:
        read = decode(record.value)
    except MessageError as error:
        return error.cause
    wanted = RECORD_TYPES[topic.record]
    return "" if isinstance(read, wanted) else f"it is a {type(read).__name__}, not a {wanted.__name__}"


def _newest_places(settings: Settings) -> dict[kafka.Partition, tuple[int, Topic]]:
    """Where the last record of each topic's longest partition is, as far as there are records."""
    by_name = {topics.topic_name(settings, topic): topic for topic in TOPICS if topic.record in RECORD_TYPES}
    missing = {difference.topic for difference in topics.check(settings) if difference.what == topics.MISSING}
    present = [name for name in by_name if name not in missing]
    if not present:
        return {}
    starts, ends = kafka_logs.start_offsets(settings, present), kafka_logs.end_offsets(settings, present)
    longest: dict[str, tuple[kafka.Partition, int]] = {}
    for (name, partition), end in sorted(ends.items(), key=lambda item: item[1]):
        if end > starts[name, partition]:
            longest[name] = (name, partition), end - 1
    return {where: (offset, by_name[where[0]]) for where, offset in longest.values()}
