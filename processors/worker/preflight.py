"""The log that is read: what must be there before a worker starts, and where it ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from obflow import kafka, kafka_logs, topics
from obflow.settings import Settings
from processors.worker.watchdog import LogReplaced, LogWidened, Positions
from schemas.errors import DependencyError, TopicMismatch
from schemas.logs import LogId
from schemas.topics import BY_NAME, Topic

START_SECONDS = 10.0
OTHER_PARTITIONS = "set kafka.partitions to what is there, or a new kafka.topic_prefix"


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
        raise TopicMismatch("; ".join(unequal), next_step=OTHER_PARTITIONS)
    topic = topics.topic_name(settings, read)
    topic_id = kafka_logs.topic_ids(settings, [topic])[topic]
    return LogId(topic, topic_id, settings.kafka.partitions)


def require_changelog(settings: Settings, name: str) -> None:
    """Make sure that a worker with an app_id of its own has a changelog of its own.

    Raises:
        BrokerUnreachable: No broker answers.
        DependencyError: It has none: `obflow topics apply` creates those of the default app_ids alone.
        TopicMismatch: It has another number of partitions than declared.
    """
    if name.removeprefix(settings.kafka.topic_prefix) in BY_NAME:
        return
    there = kafka_logs.logs_there(settings, [name]).get(name)
    if there is None:
        raise DependencyError(
            f"the broker at {settings.kafka.bootstrap_servers} has no topic {name} for this app_id's checkpoints",
            next_step=f"create it with {settings.kafka.partitions} partitions and cleanup.policy=compact, "
            "or keep the app_id as it was and set kafka.topic_prefix to have a pipeline apart",
        )
    if there.partitions != settings.kafka.partitions:
        what = f"{name}: partitions is {there.partitions}, declared {settings.kafka.partitions}"
        raise TopicMismatch(what, next_step=OTHER_PARTITIONS)


NO_OTHERS: Final[Mapping[str, str]] = MappingProxyType({})


def log_ends(settings: Settings, log: LogId, used: Mapping[str, str] = NO_OTHERS) -> Positions:
    """Offset after the last record of each partition. Blocks, within the deadline of the settings.

    Args:
        settings: `kafka` is used.
        log: The log.
        used: Other topics that have to be there, with as many partitions: by name, the id that each has to have, or
            an empty text where it may be another log.

    Raises:
        BrokerUnreachable: No broker answers.
        TopicMismatch: A topic is not there.
        LogReplaced: The topic of that name is another log by now, or (LogWidened) has another number of partitions, as
            one of the others may have.
    """
    _require_as_before(log, kafka_logs.logs_there(settings, [log.topic, *used]), used)
    return {partition: offset for (_, partition), offset in kafka_logs.end_offsets(settings, [log.topic]).items()}


def _require_as_before(log: LogId, there: Mapping[str, LogId], used: Mapping[str, str]) -> None:
    missing = [name for name in (log.topic, *used) if name not in there]
    if missing:
        what = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not on the broker any more"
        raise TopicMismatch(what, next_step="`obflow topics apply` creates what is missing")
    for name, topic_id in {**used, log.topic: log.topic_id}.items():
        if topic_id and there[name].topic_id != topic_id:
            raise LogReplaced(f"the topic {name} was made anew: it is another log", next_step="restart the worker")
    for name, count in ((name, found.partitions) for name, found in there.items()):
        if log.partitions and count != log.partitions:
            what = f"the topic {name} has {count} partitions now, and {log.partitions} before: its keys have moved"
            raise LogWidened(what, next_step=topics.NEW_LOGS)
