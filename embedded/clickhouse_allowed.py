"""What a statement may do: the closed lists of `clickhouse_allowed.toml`, and the questions asked of them."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any, Final

_LISTS: Final[dict[str, Any]] = tomllib.loads(files(__package__).joinpath("clickhouse_allowed.toml").read_text("utf-8"))


def _names(of: str) -> frozenset[str]:
    return frozenset(_LISTS[of].split())


def _lowered(names: frozenset[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)


SCALAR_FUNCTIONS: Final = _names("scalar_functions")
AGGREGATE_FUNCTIONS: Final = _names("aggregate_functions")
REFUSED_FUNCTIONS: Final = frozenset(name for names in _LISTS["refused_functions"].values() for name in names.split())
COMBINATORS: Final = _names("combinators")
TABLE_FUNCTIONS: Final = _names("table_functions")
ENGINES: Final = _names("engines")
SYSTEM_TABLES: Final = _names("system_tables")
FORMATS: Final = _names("formats")
INPUT_FORMATS: Final = FORMATS | _names("input_formats")
READER_SETTINGS: Final = _names("reader_settings")
IGNORED_SETTINGS: Final = _names("ignored_settings")
REFUSED_SETTINGS: Final = _names("refused_settings")
EXPLAIN_OPTIONS: Final = _names("explain_options")
READS: Final = _names("reads")
WRITES: Final = _names("writes")
PARTS_OF_A_READ: Final = _names("parts_of_a_read")

LONGEST_NAME: Final = 128
_CALLABLE: Final = _lowered(SCALAR_FUNCTIONS | AGGREGATE_FUNCTIONS | _names("syntax_functions"))
_REFUSED: Final = _lowered(REFUSED_FUNCTIONS)
_AGGREGATE: Final = _lowered(AGGREGATE_FUNCTIONS)
_TABLE_FUNCTIONS: Final = _lowered(TABLE_FUNCTIONS)
_FORMATS: Final = _lowered(FORMATS)
_INPUT_FORMATS: Final = _lowered(INPUT_FORMATS)


def is_callable(name: str) -> bool:
    """Say whether a statement may call the function of this name, in whichever case it is written.

    Args:
        name: As the statement calls it.
    """
    return name.lower() in _CALLABLE or (len(name) <= LONGEST_NAME and _is_combined(name))


def is_refused(name: str) -> bool:
    """Say whether the engine has a function of this name that nobody may call.

    Args:
        name: In whichever case.
    """
    return name.lower() in _REFUSED


def makes_rows(name: str) -> bool:
    """Say whether rows may come from the table function of this name.

    Args:
        name: As the statement calls it.
    """
    return name.lower() in _TABLE_FUNCTIONS


def is_output_format(name: str) -> bool:
    """Say whether an answer may be written in this format.

    Args:
        name: As the statement or the client names it.
    """
    return name.lower() in _FORMATS


def is_input_format(name: str) -> bool:
    """Say whether rows may be sent in this format.

    Args:
        name: As the statement names it.
    """
    return name.lower() in _INPUT_FORMATS


def _is_combined(name: str) -> bool:
    for ending in COMBINATORS:
        base = name.removesuffix(ending)
        if base != name and (base.lower() in _AGGREGATE or _is_combined(base)):
            return True
    return False
