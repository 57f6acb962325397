"""What may be set of a topic: how long and how much it keeps, its segments, and how many copies must be in step.

A name is `TOPIC/OPTION`, as `trades.v1/retention.ms`, or `*/OPTION` for every topic; the more exact one counts.
Anything else of a topic carries a promise, and is declared in `schemas/topics.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from pydantic_core import PydanticCustomError

from schemas.topics import BY_NAME, Topic

EVERY: Final = "*"
ALLOWED: Final[dict[str, str]] = {
    "retention.ms": "milliseconds; -1 keeps for ever",
    "retention.bytes": "bytes a partition; -1 sets no bound",
    "segment.ms": "milliseconds",
    "segment.bytes": "bytes",
    "min.insync.replicas": "copies",
}
UNBOUNDED: Final = frozenset({"retention.ms", "retention.bytes"})
WHOLE: Final = re.compile(r"-?\d+")


def refuse_topic_options(given: Mapping[str, str], copies: int) -> None:
    """Refuse the first one that cannot be set.

    Args:
        given: Values by `TOPIC/OPTION`.
        copies: Of every partition; more than those cannot be in step.

    Raises:
        PydanticCustomError: Names it and why.
    """
    for name, value in given.items():
        if why := _why_not(name, value, copies):
            raise PydanticCustomError("topic_option", "{why}", {"why": f"{name} cannot be set: {why}"})


def options_of(topic: Topic, given: Mapping[str, str]) -> dict[str, str]:
    """What is set of a topic, by Kafka's name of the option: its own before those of every topic."""
    found: dict[str, str] = {}
    for which in (EVERY, topic.name):
        for name, value in given.items():
            where, _, option = name.partition("/")
            if where == which:
                found[option] = value
    if topic.cleanup == "compact":  # what it keeps, its compaction decides
        found = {option: value for option, value in found.items() if option not in UNBOUNDED}
    return found


def _why_not(name: str, value: str, copies: int) -> str:
    where, _, option = name.partition("/")
    if option not in ALLOWED:
        return f"write it as TOPIC/OPTION or */OPTION, with one of {', '.join(ALLOWED)}"
    if where != EVERY and where not in BY_NAME:
        return f"there is no topic {where}"
    least = -1 if option in UNBOUNDED else 1
    if not WHOLE.fullmatch(value) or int(value) < least or (least == -1 and int(value) == 0):
        return f"{value} is no number of {ALLOWED[option]}"
    if option == "min.insync.replicas" and int(value) > copies:
        return f"kafka.replication_factor is {copies}, so that nothing could ever be written"
    return ""
