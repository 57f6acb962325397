"""The stages: one file each, one line each. What a stage is, `processors/contract.py` says.

To add one: a file with its class here, a line below, its section in `settings.py`, its topics in `schemas/topics.py`.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Final

from processors.contract import Stage
from processors.stages.books import BooksStage
from processors.stages.regimes import RegimesStage
from schemas.errors import UsageError

STAGES: Final[dict[str, type[Stage[Any, Any]]]] = {
    "books": BooksStage,
    "regimes": RegimesStage,
}


def stage_named(name: str) -> type[Stage[Any, Any]]:
    """The stage of this name.

    Raises:
        UsageError: There is none.
    """
    try:
        return STAGES[name]
    except KeyError:
        close = get_close_matches(name, STAGES, n=1)
        step = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(STAGES))}"
        raise UsageError(f"there is no stage {name!r}", next_step=step) from None
