"""Columns and values of a table that are derived from its record."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from sinks.contract import flag, integer, long_text, nullable, number, text, time
from sinks.derived import derived


class Colour(StrEnum):
    RED = "red"


class Sample(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(max_length=9)]
    colour: Colour
    at_ns: Annotated[int, msgspec.Meta(ge=0)]
    seen_ns: int | None
    size: float | None
    is_new: bool
    words: str
    hidden: str = ""
    other: Colour | None = None
    number: Annotated[int, msgspec.Meta(ge=0)] = 3


FOUND = derived(Sample, renamed={"seen_ns": "seen_at"}, long=("words",), left_out=("hidden",))


def test_each_field_gives_the_column_of_its_type_in_the_fields_order() -> None:
    assert FOUND.columns == (
        text("name"),
        text("colour"),
        time("at"),
        nullable(time("seen_at")),
        nullable(number("size")),
        flag("is_new"),
        long_text("words"),
        nullable(text("other")),
        integer("number"),
    )


def test_values_come_in_the_columns_order_and_enums_as_their_words() -> None:
    values = FOUND.values(Sample("a", Colour.RED, 5, None, 0.5, True, "b", hidden="c"))
    assert values == ("a", "red", 5, None, 0.5, True, "b", None, 3)
    assert type(values[1]) is str
