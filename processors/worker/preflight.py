"""The log that is read: what must be there before a worker starts, and where it ends."""

from __future__ import annotations

from collections.abc import Iterable

from obflow import kafka, kafka_logs, topics
from obflow.settings import Settings
from processors.worker.watchdog import LogReplaced, LogWidened, Positions
from schemas.errors import DependencyError, TopicMismatch
from schemas.logs import LogId
from schemas.topics import BY_NAME, Topic

START_SECONDS = 10.0


def open_source(settings: Settings, read: Topic, used: Iterable[Topic]) -> LogId:
    """Make sure that the broker and every topic a role uses are there, and identify the log.

    Args:
        settings: `kafka` is used.
        read: The topic that is read.
        used: Every other one.

    Raises:
        BrokerUnreachable: No broker answers.
        DependencyError: A topic is missing.
        TopicMismatch: A topic has another number of partitions than declared: partition n of one would not be
            partition n of the other.
    """
    kafka.require_broker(settings, deadline_seconds=START_SECONDS)
    names = {topics.topic_name(settings, topic) for topic in (read, *used)}
    differences = [difference for difference in topics.check(settings) if difference.topic in names]
    missing = [difference.topic for difference in differences if difference.what == topics.MISSING]
    if missing:
        raise DependencyError(
            f"the broker at {settings.kafka.bootstrap_servers} has no topic {', '.join(missing)}",
            next_step="create it with `obflow topics apply`",
        )
    unequal = [str(difference) for difference in differences if not difference.mendable]
    if unequal:
        raise TopicMismatch("; ".join(unequal), next_step="set kafka.partitions to what is there")
    topic = topics.topic_name(settings, read)
    topic_id = kafka_logs.topic_ids(settings, [topic])[topic]
    return LogId(topic, topic_id, settings.kafka.partitions)


def require_changelog(settings: Settings, name: str) -> None:
    """Make sure that a worker with an app_id of its own has a changelog of its own.

    Raises:
        BrokerUnreachable: No broker answers.
        DependencyError: It has none: `obflow topics apply` creates those of the default app_ids alone.
    """
    if name.removeprefix(settings.kafka.topic_prefix) in BY_NAME:
        return
    try:
        kafka_logs.topic_ids(settings, [name])
    except TopicMismatch:
        raise DependencyError(
            f"the broker at {settings.kafka.bootstrap_servers} has no topic {name} for this app_id's checkpoints",
            next_step=f"create it with {settings.kafka.partitions} partitions and cleanup.policy=compact, "
            "or keep the app_id as it was and set kafka.topic_prefix to have a pipeline apart",
        ) from None


def log_ends(settings: Settings, log: LogId) -> Positions:
    """Offset after the last record of each partition. Blocks, within the deadline of the settings.

    Raises:
        BrokerUnreachable: No broker answers.
        LogReplaced: The topic of that name is another log by now, or (LogWidened) has another number of partitions.
    """
    if kafka_logs.topic_ids(settings, [log.topic])[log.topic] != log.topic_id:
        raise LogReplaced(f"the topic {log.topic} was made anew: it is another log", next_step="restart the worker")
    ends = {partition: offset for (_, partition), offset in kafka_logs.end_offsets(settings, [log.topic]).items()}
    if log.partitions and len(ends) != log.partitions:
        what = f"the topic {log.topic} has {len(ends)} partitions now, and {log.partitions} before: its keys have moved"
        raise LogWidened(what, next_step=topics.NEW_LOGS)
    return ends
