"""What `obflow status` shows of the workers: each stage's group, its members and its lag."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from obflow.group_looks import look_at_group
from obflow.settings import Settings
from obflow.status.groups import group_row, group_section
from obflow.status.table import Row, StatusTable
from obflow.topics import topic_name
from processors.checks import stage_group
from processors.contract import Stage
from processors.stages import STAGES


def worker_section(settings: Settings) -> list[StatusTable]:
    """Every stage's group."""
    with ThreadPoolExecutor(len(STAGES)) as pool:
        return [group_section("workers", tuple(pool.map(partial(_row, settings), STAGES.values())))]


def _row(settings: Settings, stage: type[Stage[Any, Any]]) -> Row:
    group = stage_group(settings, stage)
    return group_row(group, look_at_group(settings, group, topic_name(settings, stage.reads)))
