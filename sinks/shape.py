"""The newest shape of every table, read out of the migrations' own SQL: what `apply` compares a database with.

It reads the few statements that migrations are made of: CREATE TABLE, and ALTER TABLE with ADD, MODIFY and DROP of
columns, indexes and projections, and COMMENT COLUMN. Any other statement belongs to its table and changes no shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final, NamedTuple

from schemas.errors import SchemaMismatch

COLUMN, INDEX, PROJECTION = "COLUMN", "INDEX", "PROJECTION"
_COMMENT: Final = re.compile(r"^\s*--.*$", re.M)
_CREATE: Final = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)\s*\(", re.I)
_ALTER: Final = re.compile(r"ALTER TABLE (\w+)\s+(.*)", re.I | re.S)
_SORTED_BY: Final = re.compile(r"\bORDER BY\s*(\(|\w+)", re.I)
_CHANGE: Final = re.compile(
    r"(ADD|MODIFY|DROP) (COLUMN|INDEX|PROJECTION)(?: IF (?:NOT )?EXISTS)? (\w+)(.*?)(?: (?:AFTER \w+|FIRST))?", re.I
)

_COMMENTED: Final = re.compile(r"COMMENT COLUMN(?: IF EXISTS)? (\w+) ('.*')", re.I)
_COMMENT_OF: Final = re.compile(r"COMMENT '(?:[^']|'')*'", re.I)


class Element(NamedTuple):
    """A part of a table that can be added to it.

    Attributes:
        kind: COLUMN, INDEX or PROJECTION.
        name: Its name.
        definition: What follows the name.
    """

    kind: str
    name: str
    definition: str


class TableShape(NamedTuple):
    """A table as the migrations leave it.

    Attributes:
        table: Its name.
        sorted_by: Its sorting key, as ClickHouse writes it: what tells the table from another one of that name.
        elements: Its columns, indexes and projections, in order.
    """

    table: str
    sorted_by: str
    elements: tuple[Element, ...]

    def additions(self, present: Iterable[tuple[str, str]]) -> Iterator[tuple[Element, tuple[str, ...]]]:
        """What a table lacks, each with the statements that add it.

        Args:
            present: Kind and name of what the table has.
        """
        there = set(present)
        after = ""
        for element in self.elements:
            if (element.kind, element.name) not in there:
                yield element, _adding(self.table, element, after)
            if element.kind == COLUMN:
                after = element.name


def shapes(statements: Iterable[str]) -> dict[str, TableShape]:
    """The shape of every table that these statements create, by name.

    Raises:
        SchemaMismatch: A statement that creates a table cannot be read.
    """
    found: dict[str, TableShape] = {}
    for statement in statements:
        text = _bare(statement)
        if created := _CREATE.match(text):
            found[created[1]] = _created(created[1], text[created.end() :])
        elif (altered := _ALTER.match(text)) and altered[1] in found:
            found[altered[1]] = _altered(found[altered[1]], altered[2])
    return found


def added_by(statements: Iterable[str]) -> set[tuple[str, str, str]]:
    """Table, kind and name of everything that ALTER statements among these add."""
    added = set()
    for statement in statements:
        if altered := _ALTER.match(_bare(statement)):
            changes = [_CHANGE.fullmatch(part) for part in _parts(altered[2])]
            added |= {
                (altered[1], change[2].upper(), change[3])
                for change in changes
                if change and change[1].upper() == "ADD"
            }
    return added


def target(statement: str) -> str:
    """The table that a statement creates or alters; empty where it does neither."""
    text = _bare(statement)
    found = _CREATE.match(text) or _ALTER.match(text)
    return found[1] if found else ""


@cache  # the same few migrations are read for each view and each question
def _created(table: str, rest: str) -> TableShape:
    body, after = _until_closed(rest)
    order = _SORTED_BY.search(after)
    if order is None:
        raise SchemaMismatch(f"the migration of {table} has no ORDER BY")
    key = _until_closed(after[order.end() :])[0] if order[1] == "(" else order[1]
    return TableShape(table, ", ".join(_parts(key)), tuple(map(_element, _parts(body))))


@cache
def _altered(shape: TableShape, rest: str) -> TableShape:
    elements = list(shape.elements)
    for part in _parts(rest):
        change = _CHANGE.fullmatch(part)
        if change is None:
            elements = [_commented(element, _COMMENTED.fullmatch(part)) for element in elements]
            continue
        element = Element(change[2].upper(), change[3], change[4].strip())
        names = [(one.kind, one.name) for one in elements]
        if (element.kind, element.name) not in names:
            elements.append(element)
        elif change[1].upper() == "MODIFY":
            elements[names.index((element.kind, element.name))] = element
        elif change[1].upper() == "DROP":
            del elements[names.index((element.kind, element.name))]
    return shape._replace(elements=tuple(elements))


def _commented(element: Element, words: re.Match[str] | None) -> Element:
    """The column with its new comment, where it is the one that gets one."""
    if words is None or (element.kind, element.name) != (COLUMN, words[1]):
        return element
    return element._replace(definition=_COMMENT_OF.sub(lambda _: f"COMMENT {words[2]}", element.definition))


def _element(text: str) -> Element:
    first, _, rest = text.partition(" ")
    if first in (INDEX, PROJECTION):
        name, _, definition = rest.strip().partition(" ")
        return Element(first, name, definition.strip())
    return Element(COLUMN, first, rest.strip())


def _adding(table: str, element: Element, after: str) -> tuple[str, ...]:
    kind, name, definition = element
    place = f" AFTER {after}" if after else " FIRST"
    add = f"ALTER TABLE {table} ADD {kind} IF NOT EXISTS {name} {definition}{place if kind == COLUMN else ''}"
    return (add,) if kind == COLUMN else (add, f"ALTER TABLE {table} MATERIALIZE {kind} {name}")


def _bare(statement: str) -> str:
    return _COMMENT.sub("", statement).strip()


def _until_closed(text: str) -> tuple[str, str]:
    """What is inside of a parenthesis that is already open, and what follows it."""
    depth = 1
    for place, character in _outside_quotes(text):
        depth += (character == "(") - (character == ")")
        if not depth:
            return text[:place], text[place + 1 :]
    raise SchemaMismatch(f"a parenthesis of a migration is never closed: {text[:80]}")


def _parts(text: str) -> list[str]:
    """The parts between the commas that are in no parenthesis and no quotes."""
    parts, depth, begun = [], 0, 0
    for place, character in _outside_quotes(text):
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            parts.append(text[begun:place])
            begun = place + 1
    return [" ".join(part.split()) for part in (*parts, text[begun:]) if part.strip()]


def _outside_quotes(text: str) -> Iterator[tuple[int, str]]:
    quoted = False  # a quote inside of quotes is doubled, so that it closes them and opens them again
    for place, character in enumerate(text):
        if character == "'":
            quoted = not quoted
        elif not quoted:
            yield place, character
