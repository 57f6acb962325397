"""Progress bars for people: on standard error where that is a terminal, and nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol, TypeVar

from obflow.terminal import console, escape_text

TOLD_EVERY: Final = 100
DRAWN_PER_SECOND: Final = 5

T = TypeVar("T")


class Watch(Protocol):
    """Hands on what it is given, and may count it; `iter` does not."""

    def __call__(self, items: Iterable[T], /) -> Iterable[T]:
        """The same items."""
        ...


class Bar:
    """Counts what goes by.

    Args:
        advance: Told how many more went by; None where nobody looks.
    """

    def __init__(self, advance: Callable[[int], None] | None = None) -> None:
        self._advance = advance

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """The same items, counted as they are taken."""
        return iter(items) if self._advance is None else self._counted(items, self._advance)

    def _counted(self, items: Iterable[T], advance: Callable[[int], None]) -> Iterator[T]:
        untold = 0
        for item in items:
            yield item
            untold += 1
            if untold == TOLD_EVERY:
                advance(untold)
                untold = 0
        advance(untold)


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Bar]:
    """Show a bar while the block runs, and take it away afterwards.

    Args:
        what: What is being done, a few words.
        total: How many items there are; without it the bar only shows that something is being done.
    """
    if not sys.stderr.isatty():  # rich would also draw where an environment variable asks for colours
        yield Bar()
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    shown = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    drawn = Progress(
        *shown,
        console=console(stderr=True),
        transient=True,
        redirect_stdout=False,  # it would go where the bar goes
        refresh_per_second=DRAWN_PER_SECOND,
    )
    with drawn:
        task = drawn.add_task(escape_text(what), total=total)
        yield Bar(lambda items: drawn.advance(task, items))
