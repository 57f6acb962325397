"""Asks every role for its tables, side by side, so that a part that does not answer keeps no other from being seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import EntryPoint, entry_points
from typing import Final, NamedTuple, TypeAlias

from obflow.logs import get_logger
from obflow.settings import Settings
from obflow.status.table import NOT_KNOWN, StatusTable, with_rates
from schemas.errors import PipelineError
from schemas.masking import mask_credentials

GROUP: Final = "obflow.status"
LAST: Final = 1_000
PATIENCE_S: Final = 5.0
"""Longest wait for one answer: whoever looks wants to know soon that a part does not answer."""

Looker: TypeAlias = Callable[[Settings], Iterable[StatusTable]]


class Look(NamedTuple):
    """What was seen at one moment.

    Attributes:
        sections: Every table, in order.
        at_s: When, monotonic seconds.
    """

    sections: tuple[StatusTable, ...]
    at_s: float


def look(settings: Settings) -> Look:
    """Look once."""
    settings = _impatient(settings)
    entries = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    at_s = time.monotonic()
    with ThreadPoolExecutor(max(1, len(entries))) as pool:
        found = [section for sections in pool.map(lambda entry: _ask(entry, settings), entries) for section in sections]
    return Look(tuple(sorted(found, key=lambda section: section.position)), at_s)


def _impatient(settings: Settings) -> Settings:
    kafka, clickhouse = settings.kafka, settings.clickhouse
    waits = {
        "kafka": kafka.model_copy(update={"request_timeout_seconds": min(PATIENCE_S, kafka.request_timeout_seconds)}),
        "clickhouse": clickhouse.model_copy(update={"timeout_seconds": min(PATIENCE_S, clickhouse.timeout_seconds)}),
    }
    return settings.model_copy(update=waits)


def since(before: Look | None, after: Look) -> tuple[StatusTable, ...]:
    """The later look's tables, with what their totals grew by a second."""
    if before is None:
        return tuple(with_rates(None, section, 0.0) for section in after.sections)
    earlier = {section.name: section for section in before.sections}
    seconds = after.at_s - before.at_s
    return tuple(with_rates(earlier.get(section.name), section, seconds) for section in after.sections)


def _ask(entry: EntryPoint, settings: Settings) -> list[StatusTable]:
    """A role's tables; a part that cannot be asked is a note, and must not hide the others."""
    try:
        looker: Looker = entry.load()
        return list(looker(settings))
    except PipelineError as error:
        return [StatusTable(entry.name, LAST, (), note=f"{NOT_KNOWN}{error.cause}")]
    except Exception as error:
        get_logger(__name__).debug("look_failed", part=entry.name, exc_info=error)
        why = mask_credentials(" ".join(str(error).split()))
        return [StatusTable(entry.name, LAST, (), note=f"{NOT_KNOWN}{type(error).__name__}: {why}")]
