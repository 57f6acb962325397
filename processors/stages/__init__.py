"""The stages: one file each, one line each. What a stage is, `processors/contract.py` says.

To add one: a file with its class here, a line below, its section in `settings.py`, its topics in `schemas/topics.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from processors.contract import Stage, line_named
from processors.stages.anomalies import AnomaliesStage
from processors.stages.arbitrage import ArbitrageStage
from processors.stages.books import BooksStage
from processors.stages.levels import LevelsStage
from processors.stages.quotes import QuotesStage
from processors.stages.regimes import RegimesStage
from processors.stages.signals import SignalsStage
from processors.stages.staleness import StalenessStage

STAGES: Final[dict[str, type[Stage[Any, Any]]]] = {
    "books": BooksStage,
    "regimes": RegimesStage,
    "signals": SignalsStage,
    "anomalies": AnomaliesStage,
    "levels": LevelsStage,
    "staleness": StalenessStage,
    "quotes": QuotesStage,
    "arbitrage": ArbitrageStage,
}


def stage_named(name: str) -> type[Stage[Any, Any]]:
    """The stage of this name.

    Raises:
        UsageError: There is none.
    """
    return line_named("stage", name, STAGES)


def stage_of(kind: type[Stage[Any, Any]], section: Callable[[str], Any]) -> Stage[Any, Any]:
    """Make a stage of the sections of the settings that it reads.

    Args:
        kind: Which.
        section: Gives a section by its name.

    Raises:
        UsageError: Its settings contradict each other.
    """
    return kind(section(kind.role), *map(section, kind.shares))
