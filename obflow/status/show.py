"""Sections as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from obflow.status.table import NOT_KNOWN, Cell, StatusTable, shown
from obflow.terminal import console, escape_text

if TYPE_CHECKING:
    from rich.console import Console, Group, JustifyMethod, RenderableType
    from rich.table import Table
    from rich.text import Text

LONGEST_WHOLE: Final = 32
"""What a row is about is not broken where the terminal is narrow, up to so many characters."""
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
            parts.append(table_of(section))
        if section.note or not section.rows:
            parts.append(_text(f"{section.name}: {section.note or 'none'}"))
    if any(section.note.startswith(NOT_KNOWN) for section in sections):
        parts.append(_text(WHY))
    return parts


def table_of(section: StatusTable) -> Table:
    """One section as a table: numbers to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=_text(section.name), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for place, name in enumerate(section.columns):
        numeric = all(_is_number(row[place]) for row in section.rows)
        least = 0 if place else min(LONGEST_WHOLE, max(len(shown(row[place])) for row in section.rows))
        justify: JustifyMethod = "right" if numeric else "left"
        table.add_column(name.replace("_", " "), justify=justify, overflow="fold", min_width=least)
    for row in section.rows:
        table.add_row(*(_text(shown(value)) for value in row))
    return table


def _text(text: str) -> Text:
    """Text that no terminal, and no markup of whoever draws it, takes for anything else."""
    from rich.text import Text

    return Text(escape_text(text))


def _is_number(value: Cell) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
