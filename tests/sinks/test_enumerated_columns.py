"""A column that holds one of a few words says which: whoever reads its comment misses none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from schemas.messages import FactorEvent
from sinks.describe import comments_of
from sinks.migrate import migrations
from sinks.shape import shapes
from sinks.tables import TABLES

SHAPES = shapes(statement for script in migrations() for statement in script.statements)


def enum_of(hint: Any) -> type[Enum] | None:
    if get_origin(hint) in (Union, UnionType):
        return next(filter(None, map(enum_of, get_args(hint))), None)
    return hint if isinstance(hint, type) and issubclass(hint, Enum) else None


def enumerated() -> Iterator[tuple[str, str, type[Enum]]]:
    """Table, column and the words it can hold."""
    for name, table in TABLES.items():
        inner = [FactorEvent] if name == "factors" else []
        columns = {column.name for column in table.columns}
        for record in (table.record, *inner):
            for field, hint in get_type_hints(record).items():
                words = enum_of(hint)
                if words is not None and field in columns:
                    yield name, field, words


@pytest.mark.parametrize(
    ("table", "column", "words"), list(enumerated()), ids=lambda one: getattr(one, "__name__", one)
)
def test_the_comment_of_a_column_names_every_word_that_it_can_hold(table: str, column: str, words: type[Enum]) -> None:
    comment = comments_of(SHAPES[table])[column]

    assert [one.value for one in words if not re.search(rf"\b{re.escape(one.value)}\b", comment)] == []


def test_columns_of_words_are_found_in_every_kind_of_record() -> None:
    found = {(table, column) for table, column, _ in enumerated()}

    assert found >= {("anomalies", "kind"), ("factors", "status"), ("rollout", "guard"), ("llm_calls", "outcome")}
