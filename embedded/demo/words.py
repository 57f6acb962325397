"""The demo's words, checked before anything starts: a venue that is none, a recording that cannot be read."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any, Final

from embedded.demo.plan import DemoPlan, DemoSource
from schemas.errors import FatalError, UsageError

WORDS: Final = "obflow.words"
"""Entry points to what a role takes for a word; a role's own modules are not imported here."""


def check(plan: DemoPlan) -> None:
    """Look at every word that a role would refuse later.

    Args:
        plan: What is asked for.

    Raises:
        UsageError: The venue is not known, a symbol is not in its form, or the recording is not given, not there, or
            cannot be read.
    """
    known = _taken("simulated_venues" if plan.source is DemoSource.SIMULATOR else "venues")
    for venue in plan.symbols:
        if venue not in known:
            raise UsageError(
                f"the source {plan.source} knows no venue {venue}", next_step=f"give --venue one of {', '.join(known)}"
            )
    if plan.source is DemoSource.SIMULATOR:
        for venue, symbols in plan.symbols.items():
            for symbol in symbols:
                known[venue].market(symbol)
    if plan.source is DemoSource.RECORDING:
        _check_recording(plan)
    elif plan.recording is not None:
        raise UsageError("--recording is for a recording as the source", next_step="add --source recording")


def _check_recording(plan: DemoPlan) -> None:
    if plan.recording is None:
        raise UsageError("--source recording needs a file", next_step="name one with --recording FILE")
    (venue,) = plan.symbols
    try:
        first = next(_taken("recording")(plan.recording, _taken("venues")[venue]).source.frames(), None)
    except UsageError:
        raise
    except FatalError as error:
        raise UsageError(error.cause, next_step="give another one with --recording FILE") from None
    if first is None:
        raise UsageError(f"the recording {plan.recording} is empty", next_step="give another one with --recording FILE")


def _taken(name: str) -> Any:  # noqa: ANN401 - a role's own object, by name
    (entry,) = entry_points(group=WORDS, name=name)
    return entry.load()
