"""A table's columns and values from its record's fields: a table's file says only what differs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from enum import Enum
from operator import attrgetter
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Generic, NamedTuple, Union, get_args, get_origin, get_type_hints

from sinks.contract import Column, R, Row, flag, integer, integers, long_text, nullable, number, text, texts, time

AS_NAMED: Mapping[str, str] = MappingProxyType({})


class Derived(NamedTuple, Generic[R]):
    """What a record's fields give.

    Attributes:
        columns: One a field, in the fields' order.
        values: The record's values for them.
    """

    columns: tuple[Column, ...]
    values: Callable[[R], Row]


def derived(
    record: type[R],
    *,
    renamed: Mapping[str, str] = AS_NAMED,
    long: Collection[str] = (),
    left_out: Collection[str] = (),
) -> Derived[R]:
    """Derive a table's columns from its record. A time loses its `_ns`: the database writes it out.

    What is no time though it is told in ns, as a difference of two, is renamed to its own name.

    Args:
        record: Type of the records.
        renamed: Columns that are called otherwise than their fields.
        long: Texts with many distinct values.
        left_out: Fields that no column of their own holds.
    """
    hints = get_type_hints(record, include_extras=False)
    fields = [name for name in record.__struct_fields__ if name not in left_out]
    columns = [_column(name, hints[name], renamed.get(name, name.removesuffix("_ns")), name in long) for name in fields]
    get = attrgetter(*fields)

    def values(of: R) -> Row:
        return tuple(value.value if isinstance(value, Enum) else value for value in get(of))

    return Derived(tuple(columns), values)


def _column(field: str, hint: Any, name: str, is_long: bool) -> Column:  # noqa: ANN401 (any annotation)
    if get_origin(hint) in (Union, UnionType):
        (inner,) = (one for one in get_args(hint) if one is not type(None))
        return nullable(_column(field, inner, name, is_long))
    if get_origin(hint) is list:
        return _LISTS[get_args(hint)[0]](name)
    if get_origin(hint) is Annotated:
        return _column(field, get_args(hint)[0], name, is_long)
    if hint is int and field.endswith("_ns") and not name.endswith("_ns"):
        return time(name)
    if is_long:
        return long_text(name)
    return _KINDS[str if issubclass(hint, Enum) else hint](name)


_KINDS: dict[type, Callable[[str], Column]] = {str: text, int: integer, bool: flag, float: number}
_LISTS: dict[type, Callable[[str], Column]] = {str: texts, int: integers}
