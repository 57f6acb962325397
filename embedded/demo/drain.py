"""Whether the demo's roles have read all there is: every group has committed the end of what it reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from obflow import kafka_logs, topics
from schemas.errors import PipelineError
from schemas.topics import FACTORS, TOPICS

if TYPE_CHECKING:
    from obflow.settings import Settings


def groups(settings: Settings, derived: Iterable[str] = ()) -> tuple[tuple[str, str], ...]:
    """The consumer groups and, as the topics' declaration calls them, the roles behind them.

    Args:
        settings: Of the demo.
        derived: Stages behind the first ones that were started.
    """
    prefix = settings.kafka.topic_prefix  # a worker's group has it, a sink's has not
    return (
        (prefix + settings.value("processor.app_id"), "processors"),
        (prefix + settings.value("regimes.app_id"), "regimes"),
        *((prefix + settings.value(f"{stage}.app_id"), stage) for stage in derived),
        (settings.value("sink.group"), "sinks"),
    )


def is_drained(settings: Settings, derived: Iterable[str] = ()) -> bool:
    """Whether each group has; offsets are held back until work is safe. No while the broker is away."""
    try:
        return all(has_read(settings, group, role) for group, role in groups(settings, derived))
    except PipelineError:
        return False


def has_read(settings: Settings, group: str, role: str) -> bool:
    """Whether one group has. Raises BrokerUnreachable."""
    read = [topic for topic in TOPICS if role in topic.read_by and topic.cleanup != "compact"]
    names = [topics.topic_name(settings, topic) for topic in read]
    done = kafka_logs.committed_offsets(settings, group, names)
    return all(done.get(part, 0) >= end for part, end in kafka_logs.end_offsets(settings, names).items())


def nothing_came(settings: Settings) -> bool:
    """Whether the processors have read all that came, and made nothing of it. Raises BrokerUnreachable."""
    factors = topics.topic_name(settings, FACTORS)
    return has_read(settings, *groups(settings)[0]) and not any(kafka_logs.end_offsets(settings, [factors]).values())
