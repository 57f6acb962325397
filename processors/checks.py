"""What `obflow doctor` asks about workers: members, lag, checkpoints, what the model takes and is not asked about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from functools import partial
from typing import Any, Final, Protocol

from obflow import kafka, kafka_logs
from obflow.findings import Check, unknown
from obflow.flow import LogFollower
from obflow.group_looks import WatchedReader, look_at_group
from obflow.settings import Settings
from obflow.topics import topic_name
from obflow.whole_log import read_tail
from processors.contract import Stage
from processors.llm.abilities import answers_finding
from processors.llm.beside import is_asked
from processors.llm.capabilities import capability_findings
from processors.llm.reach import endpoint_checks
from processors.settings import RegimeSettings
from processors.stages import STAGES
from schemas.codec import decode_as
from schemas.errors import BrokerUnreachable, MessageError, TopicMismatch
from schemas.logs import short_id
from schemas.messages import CallOutcome, LlmCall
from schemas.topics import LLM_CALLS


class GroupSettings(Protocol):
    """What is read of a stage's section."""

    app_id: str
    checkpoint_seconds: float


COMMANDS: Final = {
    "books": "obflow process",
    "signals": "obflow process --stage signals",
    "anomalies": "obflow process --stage anomalies",
    "levels": "obflow process --stage levels",
    "staleness": "obflow process --stage staleness",
    "quotes": "obflow process --stage quotes",
    "arbitrage": "obflow process --stage arbitrage",
}
"""What starts a worker of a stage, where it is not called as the stage."""
CHECKPOINTS_S: Final = 3.0
"""How many intervals of checkpoints a record may wait: it is committed behind one, not at once."""
LAST_CALLS: Final = 2_000


def worker_checks(settings: Settings) -> list[Check]:
    """Look at every stage's group and changelog, and at what the model is not asked."""
    found = []
    for stage, watched in [(stage, _watched(settings, stage)) for stage in STAGES.values()]:
        try:
            found += [watched] if isinstance(watched, Check) else watched.findings() + _checkpoints(settings, stage)
        except (BrokerUnreachable, TopicMismatch) as error:
            found.append(unknown(f"{stage.name} workers", error))
    return [*found, *endpoint_checks(settings.of(RegimeSettings)), *_called(settings), *_rollout(settings)]


def _rollout(settings: Settings) -> list[Check]:
    """How far the model is rolled out, where it is; nothing is to be mended."""
    if not (is_asked(settings.of(RegimeSettings)) and settings.of(RegimeSettings).rollout):
        return []
    from processors.rollout_commands import current_state, told  # its client is loaded where there is a rollout

    try:
        return [Check("rollout", True, told(current_state(settings)))]
    except (BrokerUnreachable, TopicMismatch) as error:
        return [unknown("rollout", error)]


def stage_group(settings: Settings, stage: type[Stage[Any, Any]]) -> str:
    """Name of a stage's consumer group."""
    return settings.kafka.topic_prefix + _section(settings, stage).app_id


def _watched(settings: Settings, stage: type[Stage[Any, Any]]) -> WatchedReader | Check:
    """A first look at a stage's group, all of them before any second one; or why there is none."""
    section, group = _section(settings, stage), stage_group(settings, stage)
    command = COMMANDS.get(stage.name, f"obflow {stage.name}")
    reader = LogFollower(f"{stage.name} workers", f"group {group}", command, CHECKPOINTS_S * section.checkpoint_seconds)
    look = partial(look_at_group, settings, group, topic_name(settings, stage.reads))
    try:
        return WatchedReader(reader, look, section.checkpoint_seconds + 1.0)
    except (BrokerUnreachable, TopicMismatch) as error:
        return unknown(reader.name, error)


def _checkpoints(settings: Settings, stage: type[Stage[Any, Any]]) -> list[Check]:
    source = topic_name(settings, stage.reads)
    table = stage.changelog.name.removesuffix("-changelog").rpartition("-")[2]
    group = stage_group(settings, stage)
    changelog = f"{group}-{table}-changelog"
    committed = kafka_logs.committed(settings, group, [source])
    if not committed:
        return []
    changelog_id = short_id(kafka_logs.topic_ids(settings, [changelog])[changelog])
    foreign = {part for (_, part), one in committed.items() if one.stamp.changelog not in ("", changelog_id)}
    offsets = {part: one.offset for (_, part), one in committed.items()}
    starts, ends = kafka_logs.start_offsets(settings, [changelog]), kafka_logs.end_offsets(settings, [changelog])
    name = f"{stage.name} checkpoints"
    return [checkpoint_finding(name, changelog, offsets, _of(starts), _of(ends), foreign)]


def checkpoint_finding(
    name: str,
    changelog: str,
    committed: Mapping[int, int],
    starts: Mapping[int, int],
    ends: Mapping[int, int],
    foreign: Set[int] = frozenset(),
) -> Check:
    """Judge a changelog: each partition with a committed offset holds a checkpoint.

    Args:
        name: Of the check.
        changelog: Name on the broker.
        committed: Of the source, by partition.
        starts: First offset of the changelog, by partition.
        ends: The one its next record gets, by partition.
        foreign: The partitions whose offset was committed beside another changelog.
    """
    emptied = sorted(part for part, offset in committed.items() if offset > 0 and starts.get(part) == ends.get(part))
    if not emptied and foreign:
        sentence = f"{changelog} was made anew: what it lacks of {len(foreign)} partitions is read again from the log"
        return Check(name, True, f"{sentence} when it is needed")
    if not emptied:
        return Check(name, True, f"{changelog} keeps what {len(committed)} committed offsets promise")
    named = ", ".join(map(str, emptied[:10])) + (" …" if len(emptied) > 10 else "")
    sentence = f"{changelog} holds no checkpoint in {len(emptied)} partitions with a committed offset ({named})"
    return Check(name, False, f"{sentence}: they are read again from the log's start", "restart the worker")


def _called(settings: Settings) -> list[Check]:
    """What the last calls say: instruments not asked about, what each arm brings, and what it takes."""
    if not is_asked(settings.of(RegimeSettings)):
        return []
    try:
        logged = read_tail(settings, topic_name(settings, LLM_CALLS), LAST_CALLS)
        calls = [call for one in logged if (call := _call(one.value)) is not None]
    except (BrokerUnreachable, TopicMismatch) as error:
        return [unknown("model", error)]
    calls.sort(key=lambda call: call.started_ns)
    arms = sorted({call.arm for call in calls})
    return [unasked_finding(calls), *(answers_finding(arm, calls) for arm in arms), *capability_findings(calls)]


def unasked_finding(calls: Iterable[LlmCall]) -> Check:
    """Say which instruments the model is not asked about."""
    names = sorted({str(call.instrument) for call in calls if call.outcome is CallOutcome.NOT_ASKED})
    if not names:
        return Check("model", True, "asked about every instrument")
    return Check("model", True, f"never asked about {', '.join(names)}: their names may not stand in a prompt")


def _call(value: bytes) -> LlmCall | None:
    try:
        return decode_as(LlmCall, value)
    except MessageError:
        return None


def _section(settings: Settings, stage: type[Stage[Any, Any]]) -> GroupSettings:
    section: GroupSettings = getattr(settings, stage.role)
    return section


def _of(offsets: Mapping[kafka.Partition, int]) -> dict[int, int]:
    return {part: offset for (_, part), offset in offsets.items()}
