"""Trees of statements, as ClickHouse's function `parseQueryToJSON` gives them: what is found in them and taken out.

A node is a dictionary with a `type`; below it are lists, further nodes and plain values. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from embedded.clickhouse_sql import READONLY, QueryRefused

Tree = dict[str, Any]

SELECT: Final = "SelectWithUnionQuery"
DESCRIBES: Final = "DescribeQuery"
NAMES: Final = "QueryOfNames"
"""EXISTS and the forms of SHOW that hold nothing but names."""
KILLS: Final = "KillQueryQuery"

# Below these stand names of codecs and of kinds of index, which are written as calls.
_NO_CALLS_BELOW: Final = frozenset({"codec", "index_type", "statistics_type"})
_COMMENT_OF_QUERY: Final = """{"type": "Function", "name": "arrayElement", "arguments": {"type": "ExpressionList",
    "children": [{"type": "Identifier", "name": "Settings"},
    {"type": "Literal", "value": {"field_type": "String", "value": "log_comment"}}]}}"""


def nodes(tree: Tree) -> Iterator[tuple[str, Tree]]:
    """Walk over every node of a tree that may hold a call, a name or a setting.

    Args:
        tree: Its root.

    Yields:
        The key under which a node stands, and the node.
    """
    waiting: list[tuple[str, Any]] = [("", tree)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, list):
            waiting.extend((key, inner) for inner in value)
        elif isinstance(value, dict):
            if "type" in value:
                yield key, value
            waiting.extend(pair for pair in value.items() if pair[0] not in _NO_CALLS_BELOW)


def take_settings(tree: Tree) -> tuple[Tree, dict[str, str]]:
    """Take the SETTINGS clause at the end of a statement that reads out of its tree.

    Args:
        tree: The statement's.

    Returns:
        The tree without it, the same object where there was none; and what it said.

    Raises:
        QueryRefused: A value is neither a number nor a text.
    """
    found: dict[str, str] = {}
    taken = _taken(tree, "settings_ast", found)
    if taken["type"] == SELECT:
        taken = _take_from_select(taken, found)
    for key in ("query", "described"):
        if isinstance(taken.get(key), dict):
            taken = _replaced(taken, key, _take_from_select(taken[key], found))
    return taken, found


def _take_from_select(tree: Tree, found: dict[str, str]) -> Tree:
    """Take the clause out of the last SELECT of a union, which is the one that holds for the whole.

    Args:
        tree: The union's.
        found: Receives what the clause said.
    """
    tree = _taken(tree, "settings_ast", found)
    selects = tree.get("list_of_selects", {})
    last = selects.get("children", [{}])[-1]
    if last.get("type") != "SelectQuery" or "settings" not in last:
        return tree
    children = [*selects["children"][:-1], _taken(last, "settings", found)]
    return _replaced(tree, "list_of_selects", _replaced(selects, "children", children))


def named_by_comment(tree: Tree) -> Tree:
    """Let KILL QUERY find a query by the id its client gave it.

    The engine names queries itself; the client's id is kept in the setting `log_comment` of the query's session.

    Args:
        tree: Of any statement; one that kills nothing is given back as it is.
    """
    if tree["type"] != KILLS:
        return tree
    named: Tree = json.loads(json.dumps(tree))
    for _, node in nodes(named):
        if node["type"] == "Identifier" and node.get("name") == "query_id":
            node.update(json.loads(_COMMENT_OF_QUERY))
    return named


def _taken(node: Tree, key: str, found: dict[str, str]) -> Tree:
    if key not in node:
        return node
    for change in node[key].get("changes", ()):
        value = change["value"].get("value") if isinstance(change["value"], dict) else None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise QueryRefused(READONLY, f"The setting {change['name']!r} takes a number or a text here (READONLY)")
        found.setdefault(change["name"], str(value))
    return {name: value for name, value in node.items() if name != key}


def _replaced(node: Tree, key: str, value: object) -> Tree:
    return {**node, key: value} if node.get(key) is not value else node
