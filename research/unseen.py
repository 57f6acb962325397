"""What the audit cannot see, and so must not call well: other logs, silent producers, records that are gone."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from obflow import kafka_logs
from obflow.doctor import AuditLine
from obflow.settings import Settings
from processors.settings import (
    AnomalySettings,
    ArbitrageSettings,
    LevelSettings,
    ProcessorSettings,
    QuoteSettings,
    RegimeSettings,
    SignalSettings,
    StalenessSettings,
)
from research.called import Called
from research.counted import COUNTED
from research.derived_steps import DERIVED
from research.retention import Stretches, length, told, unread
from research.stored import LOG_COLUMN, Tables
from schemas.logs import LogId
from schemas.messages import FeedState
from schemas.topics import DEAD_LETTERS, FACTORS, FEED_STATUS, L2, LLM_CALLS, QUOTES, REGIMES, ROLLOUT
from sinks.settings import SinkSettings

SILENT_S: Final = 30.0
"""A producer says every ten seconds that it is alive; one silent for three times as long is not."""
FED_BY: Final = {
    "factors": FACTORS,
    **COUNTED,
    "feed_status": FEED_STATUS,
    "dead_letters": DEAD_LETTERS,
    "regimes": REGIMES,
    "llm_calls": LLM_CALLS,
    "rollout": ROLLOUT,
    **{name: table.topic for name, table in DERIVED.items()},
}
"""Every table, and the topic that feeds it."""


def unseen(settings: Settings, tables: Tables, called: Called, known_logs: Collection[str]) -> list[AuditLine]:
    """A line for each thing that keeps an audit from being whole."""
    return [_other_logs(tables, called, known_logs), _producers(called), _retention(settings, tables, called)]


def overlaps(tables: Tables) -> AuditLine:
    """Instruments with more than one run over the same time: whoever sums up a table itself counts that twice."""
    found = tables.overlapping_runs()
    notes = tuple(
        f"{venue}:{symbol} ({source}) has {runs} runs over the same time: views count the newest, tables hold all"
        for venue, symbol, source, runs in found
    )
    return AuditLine("runs", {"overlapping": len(found)}, notes=notes)


def _other_logs(tables: Tables, called: Called, known_logs: Collection[str]) -> AuditLine:
    """Rows of logs that the broker does not have: whether they are all there, nobody can tell."""
    problems, rows, accepted = [], 0, 0
    for table, column in LOG_COLUMN.items():
        source = DERIVED[table].source if table in DERIVED else L2 if table in ("factors", "regimes") else FED_BY[table]
        own = called.logs[source].short_id
        beside = {called.logs[topic].short_id for topic in (DERIVED[table].beside if table in DERIVED else ())}
        others = tables.other_logs(table, column, own)
        for log, count in ((log, count) for log, count in others.items() if log not in beside):
            rows += count
            if log in known_logs:
                accepted += count
            else:
                problems.append(f"{count} rows of {table} are of the log {log or '(none)'}, which the broker has not")
    return AuditLine("other logs", {"rows": rows, "accepted": accepted}, tuple(problems))


def _producers(called: Called) -> AuditLine:
    """Feeds whose producer has fallen silent: what they should have brought is not on the log, nor in the count."""
    counts, problems = {"live": 0, "stopped": 0, "silent": 0}, []
    for (instrument, source), word in sorted(called.statuses.last.items()):
        heard_ms = max(word.written_ms, called.events.written_ms.get(instrument, 0))
        silent_s = (called.asked_ms - heard_ms) / 1000
        state = "stopped" if word.state == FeedState.STOPPED else "silent" if silent_s > SILENT_S else "live"
        counts[state] += 1
        if state == "silent":
            problems.append(
                f"{instrument} ({source}) is not audited to its end: its producer has said nothing for "
                f"{silent_s:.0f} s, nor that it stopped"
            )
    return AuditLine("producers", counts, tuple(problems))


def _retention(settings: Settings, tables: Tables, called: Called) -> AuditLine:
    """Records that are gone from the logs: those that expired after they were stored are no matter."""
    counts = {"expired": sum(sum(reading.starts.values()) for reading in called.readings.values())}
    counts |= {"expired_unread": 0, "absent": 0}
    problems = []
    for table, topic in FED_BY.items():
        log = called.logs[topic]
        read = read_positions(settings, tables, table, log)
        missed = unread(called.readings[topic].starts, read, tables.holes(table, log))
        counts["expired_unread"] += length(missed)
        problems += _named(missed, f"records of {topic.name} expired before they were stored")
    groups = {
        settings.of(ProcessorSettings).app_id: L2,
        settings.of(RegimeSettings).app_id: FACTORS,
        settings.of(SignalSettings).app_id: FACTORS,
        settings.of(AnomalySettings).app_id: FACTORS,
        settings.of(LevelSettings).app_id: L2,
        settings.of(StalenessSettings).app_id: FEED_STATUS,
        settings.of(QuoteSettings).app_id: L2,
        settings.of(ArbitrageSettings).app_id: QUOTES,
    }
    for app_id, topic in groups.items():
        read = _committed(settings, settings.kafka.topic_prefix + app_id, called.logs[topic])
        missed = unread(called.readings[topic].starts, read, {})
        counts["expired_unread"] += length(missed)
        problems += _named(missed, f"records of {topic.name} expired before {app_id} read them")
    for topic, reading in called.readings.items():
        if topic.cleanup == "compact":
            continue  # what was taken out of it is in its table's line
        counts["absent"] += length(reading.absent)
        problems += _named(reading.absent, f"offsets of {topic.name} hold no record")
    return AuditLine("retention", counts, tuple(problems))


def _named(stretches: Stretches, what: str) -> list[str]:
    count = length(stretches)
    return [f"{count} {what} ({told(stretches)})"] if count else []


def read_positions(settings: Settings, tables: Tables, table: str, log: LogId) -> dict[int, int]:
    """Up to where a sink has come in the log that feeds a table, by partition: its last row, or what gave none."""
    read = tables.read_until(table, log)
    committed = _committed(settings, settings.of(SinkSettings).group, log)
    return read | {part: max(offset, read.get(part, 0)) for part, offset in committed.items()}


def _committed(settings: Settings, group: str, log: LogId) -> dict[int, int]:
    """First offset of each partition that a group has not committed yet, as far as it has committed any."""
    return {part: offset for (_, part), offset in kafka_logs.committed_offsets(settings, group, [log.topic]).items()}
