"""What each column of a table or view means: name, type, unit, range, meaning; and the comments that views are given.

The database keeps no comment for a view's column of itself. What a view adds is said in its file, a line a column:
`--: open first mid of the minute [quote]`; what it takes over from a table keeps that table's words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from schemas.errors import UsageError
from schemas.factors import FACTORS, range_of
from sinks.migrate_scripts import Script, migrations, ordered_views
from sinks.shape import COLUMN, TableShape, shapes
from sinks.store import Store

OWN: Final = re.compile(r"^--: (\w+) (.+)$", re.M)
COMMENT: Final = re.compile(r"COMMENT '((?:[^'\\]|''|\\.)*)'")
ESCAPED: Final = re.compile(r"''|\\(.)")
UNIT: Final = re.compile(r"^(.*?)\s*\[([^\[\]]+)\]$")
COLUMNS: Final = (
    "SELECT name, type, comment FROM system.columns WHERE database = currentDatabase() AND table = {name:String} "
    "ORDER BY position"
)


class Described(NamedTuple):
    """A column.

    Attributes:
        name: Its name.
        kind: ClickHouse's type.
        unit: Of its values; empty where they have none.
        range: What they can be; empty where nothing bounds them.
        meaning: One line.
    """

    name: str
    kind: str
    unit: str
    range: str
    meaning: str


def describe(store: Store, name: str) -> list[Described]:
    """The columns of a table or view, as the database has them.

    Raises:
        UsageError: There is no such table.
        StoreUnreachable, QueryFailed: The database does not answer, or refuses.
    """
    rows = store.query(COLUMNS, {"name": name})
    if not rows:
        there = store.query("SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name")
        raise UsageError(f"there is no table {name}", next_step=f"there are {', '.join(one for (one,) in there)}")
    return [described(column, kind, comment) for column, kind, comment in rows]


def described(name: str, kind: str, comment: str) -> Described:
    """A column, its comment taken apart into meaning and unit; a factor's range is that of the list of factors."""
    found = UNIT.match(comment)
    meaning, unit = (found[1], found[2]) if found else (comment, "")
    factor = next((one for one in FACTORS if one.name == name), None)
    return Described(name, kind, unit, range_of(factor) if factor is not None else "", meaning)


def comment_view(store: Store, view: Script) -> None:
    """Give the columns of a view that was just made their comments."""
    known = comments_for(view)
    named = [name for (name, _, _) in store.query(COLUMNS, {"name": view.name}) if name in known]
    words = {name: known[name].replace("\\", "\\\\").replace("'", "''") for name in named}
    if words:
        store.command(f"ALTER TABLE {view.name} " + ", ".join(f"COMMENT COLUMN {n} '{w}'" for n, w in words.items()))


def comments_for(view: Script) -> dict[str, str]:
    """What a view's columns mean: its own words first, then those of the tables it reads, then of any other."""
    tables = shapes(statement for script in migrations() for statement in script.statements)
    reads = _tables_read(view, tables)
    ordered = [shape for name, shape in tables.items() if name not in reads] + [tables[name] for name in reads]
    found: dict[str, str] = {}
    for shape in ordered:
        found |= {name: comment for name, comment in comments_of(shape).items() if comment}
    return found | dict(OWN.findall(view.text))


def _tables_read(view: Script, tables: Mapping[str, TableShape]) -> list[str]:
    """Names of the tables behind a view, through views of whole tables too."""
    words = set(re.findall(r"\b(?:FROM|JOIN)\s+(\w+)", view.text))
    others = {one.name: one for one in ordered_views(migrations()) if one.name in words and one.name != view.name}
    behind = [name for other in others.values() for name in _tables_read(other, tables)]
    return [*dict.fromkeys([*behind, *(name for name in tables if name in words)])]


def comments_of(shape: TableShape) -> dict[str, str]:
    """What the migrations say of each column of a table; empty where they say nothing."""
    found = {}
    for element in shape.elements:
        comment = COMMENT.search(element.definition) if element.kind == COLUMN else None
        found[element.name] = ESCAPED.sub(lambda one: one[1] or "'", comment[1]) if comment else ""
    return found
