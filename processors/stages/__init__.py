"""The stages: one file each, one line each. What a stage is, `processors/contract.py` says.

To add one: a file with its class here, a line below, its section in `settings.py`, its topics in `schemas/topics.py`.
"""

from __future__ import annotations

from typing import Any, Final

from processors.contract import Stage, line_named
from processors.stages.books import BooksStage
from processors.stages.regimes import RegimesStage

STAGES: Final[dict[str, type[Stage[Any, Any]]]] = {
    "books": BooksStage,
    "regimes": RegimesStage,
}


def stage_named(name: str) -> type[Stage[Any, Any]]:
    """The stage of this name.

    Raises:
        UsageError: There is none.
    """
    return line_named("stage", name, STAGES)
