"""Sections as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from obflow.columns import widths
from obflow.status.table import NOT_KNOWN, Cell, StatusTable, shown
from obflow.terminal import console, escape_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, Group, JustifyMethod, RenderableType, RenderResult
    from rich.table import Table
    from rich.text import Text

WHY: Final = "`obflow doctor` says why something is not known, and what mends it"


def print_sections(sections: Sequence[StatusTable]) -> None:
    """Print every table, one below the other."""
    screen: Console = console()
    for part in renderables(sections):
        screen.print(part)


def group_of(sections: Sequence[StatusTable]) -> Group:
    """Every table as one picture."""
    from rich.console import Group

    return Group(*renderables(sections))


def renderables(sections: Sequence[StatusTable]) -> list[RenderableType]:
    """What rich draws: a table a section, and its note below it; at the end who says more of what is not known."""
    parts: list[RenderableType] = []
    for section in sections:
        if section.rows:
            parts.append(FittingTable(section))
        if section.note or not section.rows:
            parts.append(_text(f"{section.name}: {section.note or 'none'}"))
    if any(section.note.startswith(NOT_KNOWN) for section in sections):
        parts.append(_text(WHY))
    return parts


class FittingTable:
    """One section as a table that fits whatever it is drawn on: numbers to the right, and whole.

    Args:
        section: What it shows.
    """

    def __init__(self, section: StatusTable) -> None:
        self._section = section

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it as wide as there is room."""
        del console
        yield table_of(self._section, options.max_width)


def table_of(section: StatusTable, room: int) -> Table:
    """One section as a table.

    Args:
        section: What it shows.
        room: Columns of the terminal.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        title=_text(section.name), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    headings = [name.replace("_", " ") for name in section.columns]
    rows = [[shown(value) for value in row] for row in section.rows]
    fitting = widths(headings, [[*map(escape_text, row)] for row in rows], room - 2 * len(headings))
    for place, heading in enumerate(headings):
        numeric = all(_is_number(row[place]) for row in section.rows)
        justify: JustifyMethod = "right" if numeric else "left"
        table.add_column(heading, justify=justify, overflow="fold", width=fitting[place] if fitting else None)
    for row in rows:
        table.add_row(*map(_text, row))
    return table


def _text(text: str) -> Text:
    """Text that no terminal, and no markup of whoever draws it, takes for anything else."""
    from rich.text import Text

    return Text(escape_text(text))


def _is_number(value: Cell) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
