"""Tables as research's commands print them."""

from __future__ import annotations

from collections.abc import Sequence


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> object:
    """A table to be printed: columns of words where it has fewer than four, else figures to the right."""
    from rich.table import Table

    made = Table(title=title or None, title_justify="left", show_header=any(columns))
    for number, column in enumerate(columns):
        made.add_column(column, justify="left" if number == 0 and len(columns) < 4 else "right")
    for cells in rows:
        made.add_row(*cells)
    return made


def cell(value: object) -> str:
    """What a cell says of a value; a dash of none."""
    return "–" if value is None else str(value)
