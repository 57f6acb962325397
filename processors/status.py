"""What `obflow status` shows of the workers: each stage's group, its members and its lag."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from obflow.group_looks import look_at_group
from obflow.settings import Settings
from obflow.status.table import Row, StatusTable
from obflow.topics import topic_name
from processors.checks import stage_group
from processors.contract import Stage
from processors.settings import RegimeSettings
from processors.stages import STAGES

COLUMNS: Final = ("reader", "topic", "members", "read_records", "waiting_records", "waiting_s")

ROLLOUT: Final = ("stage", "percent", "enabled", "live", "candidate", "reason")


def worker_section(settings: Settings) -> list[StatusTable]:
    """Every stage's group."""
    with ThreadPoolExecutor(len(STAGES)) as pool:  # most of it is waiting for the broker's answers
        rows = list(pool.map(partial(_row, settings), STAGES.values()))
    return [StatusTable("workers", 30, COLUMNS, tuple(rows), key=2, totals=("read_records",)), *_rollout(settings)]


def _rollout(settings: Settings) -> list[StatusTable]:
    """How far the language model is rolled out, where it is."""
    if not settings.of(RegimeSettings).rollout:
        return []
    from processors.rollout_commands import current_state  # its client is loaded where there is a rollout

    state = current_state(settings)
    row = (state.stage.value, state.percent, state.enabled, state.live, state.candidate, state.reason)
    return [StatusTable("rollout", 35, ROLLOUT, (row,))]


def _row(settings: Settings, stage: type[Stage[Any, Any]]) -> Row:
    group = stage_group(settings, stage)
    look = look_at_group(settings, group, topic_name(settings, stage.reads))
    members = None if look.members is None else len(look.members)
    read = sum(max(0, at - look.starts.get(part, 0)) for part, at in look.positions.items())
    waiting_s = round(max(look.ages_s.values(), default=0.0), 1)
    return (group, look.topic, members, read, sum(look.waiting().values()), waiting_s)
