"""What a statement may do, decided on the tree that the engine's own parser makes of it.

Pure: a tree in, a verdict out. A reader gets statements that read, tables that are data, functions that compute. A
writer gets statements that change tables on top, and still no function, table function or table engine that reaches a
file, an address or a program. Every list is closed: what stands in none is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from embedded.clickhouse_allowed import (
    ENGINES,
    EXPLAIN_OPTIONS,
    PARTS_OF_A_READ,
    READS,
    REFUSED_SETTINGS,
    SYSTEM_TABLES,
    WRITES,
    is_callable,
    is_input_format,
    is_output_format,
    is_refused,
    makes_rows,
)
from embedded.clickhouse_sql import (
    ACCESS_DENIED,
    NOT_IMPLEMENTED,
    OUTFILE_NOT_ALLOWED,
    READONLY,
    UNKNOWN_FORMAT,
    QueryRefused,
)
from embedded.clickhouse_trees import KILLS, SELECT, Tree, named_by_comment, nodes, take_settings

ANSWERS: Final = READS | {"CheckTableQuery", KILLS}
OF_A_SESSION: Final = frozenset({"SetQuery", "UseQuery"})

_EXPLAINED: Final = frozenset(
    {
        *("EXPLAIN", "EXPLAIN PLAN", "EXPLAIN AST", "EXPLAIN SYNTAX", "EXPLAIN QUERY TREE", "EXPLAIN PIPELINE"),
        "EXPLAIN ESTIMATE",
    }
)
_IN: Final = frozenset(
    f"{wide}{kind}in{plain}"
    for wide in ("", "global")
    for kind in ("", "not", "null", "notnull")
    for plain in ("", "ignoreset")
)
_NO_SESSIONS: Final = (
    "The embedded engine keeps no sessions: give settings and the database with each request "
    "instead of SET, USE and temporary tables (NOT_IMPLEMENTED)"
)
_ONLY_READS: Final = (
    "Cannot execute query in readonly mode: a reader may SELECT, SHOW, DESCRIBE, EXISTS and EXPLAIN (READONLY)"
)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and under what.

    Attributes:
        may_write: Whether the statement may change anything.
        database: Its current database.
        parameters: Values of `{name:Type}`.
        sends_rows: Whether it is an INSERT whose rows came beside it.
    """

    may_write: bool
    database: str = "default"
    parameters: Mapping[str, str] = field(default_factory=dict)
    sends_rows: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of a statement that is allowed.

    Attributes:
        tree: What is run, which may be less than what was asked.
        answers: Whether it has a result, be it empty.
        output_format: Format the statement names; empty where it names none.
        settings: What a reader's SETTINGS clause said; it is taken out of the tree.
    """

    tree: Tree
    answers: bool
    output_format: str
    settings: Mapping[str, str]


def judge(tree: Tree, asker: Asker) -> Judgement:
    """Decide on a statement.

    Args:
        tree: Of the whole statement.
        asker: Who asks it.

    Raises:
        QueryRefused: The asker may not do this.
    """
    kind = tree["type"]
    _check_kind(kind, asker)
    settings: Mapping[str, str] = {}
    if not asker.may_write:
        tree, settings = take_settings(tree)
    own = _functions_of_its_own(tree)
    for key, node in nodes(tree):
        if not (node["type"] == "Function" and node.get("name") in own and not key.endswith("table_function")):
            _check_node(key, node, asker)
    output = tree.get("format_ast", {}).get("name", "")
    check_format(output)
    return Judgement(named_by_comment(tree), kind in ANSWERS, output, settings)


def check_format(name: str) -> None:
    """Refuse a format of answers that needs more than the rows.

    Args:
        name: As the statement or the client names it; empty for the usual one.

    Raises:
        QueryRefused: It is none of the list.
    """
    if name and not is_output_format(name):
        raise QueryRefused(UNKNOWN_FORMAT, f"Unknown format {name}, or one that needs a file (UNKNOWN_FORMAT)")


def check_input_format(name: str) -> None:
    """Refuse a format of sent rows that needs more than the rows.

    Args:
        name: As the statement names it.

    Raises:
        QueryRefused: It is none of the list.
    """
    if not is_input_format(name):
        raise QueryRefused(UNKNOWN_FORMAT, f"Unknown format {name}, or one that needs a file (UNKNOWN_FORMAT)")


def _functions_of_its_own(tree: Tree) -> set[str]:
    """Names a statement gives to lambdas: `WITH x -> x * 2 AS twice`. One of the engine's own stays what it is."""
    lambdas = {str(node["alias"]) for _, node in nodes(tree) if node.get("name") == "lambda" and "alias" in node}
    return {name for name in lambdas if not is_refused(name)}


def _check_kind(kind: str, asker: Asker) -> None:
    if kind in OF_A_SESSION:
        raise QueryRefused(NOT_IMPLEMENTED, _NO_SESSIONS)
    if kind in READS:
        return
    if not asker.may_write:
        raise QueryRefused(READONLY, _ONLY_READS)
    if kind not in WRITES:
        raise QueryRefused(ACCESS_DENIED, f"Nobody may run a {kind} in the embedded engine (ACCESS_DENIED)")


def _check_node(key: str, node: Tree, asker: Asker) -> None:
    kind = node["type"]
    if not asker.may_write and kind not in READS | PARTS_OF_A_READ:
        raise QueryRefused(READONLY, f"A reader's statement may not hold a {kind} (READONLY)")
    if "out_file" in node or ("infile" in node and not asker.sends_rows):
        raise QueryRefused(OUTFILE_NOT_ALLOWED, "INTO OUTFILE is not allowed over HTTP (INTO_OUTFILE_NOT_ALLOWED)")
    check = _CHECKS.get(kind)
    if check is not None:
        check(key, node, asker)


def _check_function(key: str, node: Tree, asker: Asker) -> None:
    name = str(node.get("name", ""))
    if key.endswith("table_function"):
        _allow(makes_rows(name), f"the table function {name}")
    elif key == "engine":
        _allow(name in ENGINES, f"the engine {name}")
    else:
        _allow(is_callable(name), f"the function {name}")
    if name.lower() in _IN:  # a name after IN is a table's
        for argument in node.get("arguments", {}).get("children", [])[1:2]:
            if argument.get("type") == "Identifier":
                _check_table("", argument, asker)


def _check_apply(_key: str, node: Tree, _asker: Asker) -> None:
    if name := str(node.get("func_name", "")):
        _allow(is_callable(name), f"the function {name}")


def _check_table(_key: str, node: Tree, asker: Asker) -> None:
    parts = _parts(node, asker.parameters)
    if len(parts) == 1:
        parts = [asker.database, *parts]
    _check_parts(parts, asker)


def _check_name(_key: str, node: Tree, asker: Asker) -> None:
    _check_parts(_parts(node, asker.parameters), asker)


def _check_parts(parts: list[str], asker: Asker) -> None:
    """Keep a reader to tables that are data."""
    if not asker.may_write and len(parts) > 1 and parts[0] == "system":
        _allow(parts[1] in SYSTEM_TABLES, f"the table system.{parts[1]}")


def _parts(node: Tree, parameters: Mapping[str, str]) -> list[str]:
    """The name's parts; those that are parameters stand empty in the tree and follow as its children."""
    given = iter([str(child.get("name", "")) for child in node.get("children", ())])
    parts = [part or parameters.get(next(given, ""), "") for part in node.get("name_parts") or [node.get("name", "")]]
    if any("\\" in part for part in parts):
        raise QueryRefused(ACCESS_DENIED, "A name may hold no backslash here (ACCESS_DENIED)")
    return parts


def _check_explain(_key: str, node: Tree, _asker: Asker) -> None:
    asked = node.get("query", {}).get("type")
    if node.get("kind") not in _EXPLAINED or asked != SELECT:
        raise QueryRefused(READONLY, f"{node.get('kind', 'EXPLAIN')} takes a SELECT here, and nothing else (READONLY)")


def _check_settings(key: str, node: Tree, asker: Asker) -> None:
    names = {str(change["name"]) for change in node.get("changes", ())} | set(node.get("default_settings", ()))
    if not asker.may_write and not (key == "settings" and names <= EXPLAIN_OPTIONS):
        raise QueryRefused(READONLY, "A reader's SETTINGS stand once, at the end of the statement (READONLY)")
    if refused := sorted(names & REFUSED_SETTINGS):
        raise QueryRefused(READONLY, f"Nobody may change {', '.join(refused)} in the embedded engine (READONLY)")


def _check_create(_key: str, node: Tree, _asker: Asker) -> None:
    if node.get("is_temporary"):
        raise QueryRefused(NOT_IMPLEMENTED, _NO_SESSIONS)
    _allow(not (node.get("is_dictionary") or node.get("has_attach_from_path")), "dictionaries and ATTACH … FROM")


def _check_insert(_key: str, node: Tree, _asker: Asker) -> None:
    if name := str(node.get("format", "")):
        check_input_format(name)


def _allow(allowed: bool, what: str) -> None:
    if not allowed:
        raise QueryRefused(
            ACCESS_DENIED, f"{what[:1].upper()}{what[1:]} is not open to statements here (ACCESS_DENIED)"
        )


_CHECKS: Final[Mapping[str, Callable[[str, Tree, Asker], None]]] = {
    "Function": _check_function,
    "ColumnsApplyTransformer": _check_apply,
    "Identifier": _check_name,
    "TableIdentifier": _check_table,
    "ExplainQuery": _check_explain,
    "SetQuery": _check_settings,
    "CreateQuery": _check_create,
    "InsertQuery": _check_insert,
}
