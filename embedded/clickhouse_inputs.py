"""INSERT … SELECT … FROM input('…'): rows that come beside a statement, taken up where it reads them.

The library has no body to read `input` from. So the rows go into a temporary table of the request's own session first,
and the statement that runs reads that table where it said `input`. It stays one statement, whose other parts, a
condition over other tables among them, are judged and run as they are. Pure.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from embedded.clickhouse_sql import BAD_ARGUMENTS, QueryRefused
from embedded.clickhouse_trees import Tree

_ONLY_SO: Final = (
    "Rows that come beside INSERT … SELECT are read once, as FROM input('columns and types') (BAD_ARGUMENTS)"
)


class Rows(NamedTuple):
    """What a statement says of the rows that come beside it.

    Attributes:
        tree: The statement's, reading them from a table instead.
        structure: Their columns and types, as the statement writes them.
    """

    tree: Tree
    structure: str


def read_from(tree: Tree, table: str) -> Rows:
    """Let a statement read from a table what it reads from `input`.

    Args:
        tree: Of an INSERT … SELECT.
        table: The table that will hold the rows.

    Raises:
        QueryRefused: It is no such statement, or does not read `input` as its one source. Elsewhere in it, `input` is
            a table function like any other, which the rules refuse.
    """
    try:
        [select] = tree["select"]["list_of_selects"]["children"]
        [element] = select["tables"]["children"]
        source = element["table_expression"]
        [columns] = source["table_function"]["arguments"]["children"]
        structure = columns["value"]["value"]
        fits = tree["type"] == "InsertQuery" and source["table_function"]["name"].lower() == "input"
    except (KeyError, TypeError, ValueError):
        fits, structure = False, None
    if not fits or not isinstance(structure, str):
        raise QueryRefused(BAD_ARGUMENTS, _ONLY_SO)
    kept = {key: value for key, value in source.items() if key != "table_function"}
    named = {**kept, "database_and_table_name": {"type": "TableIdentifier", "name": table}}
    tables = {**select["tables"], "children": [{**element, "table_expression": named}]}
    selects = {**tree["select"]["list_of_selects"], "children": [{**select, "tables": tables}]}
    reading = {key: value for key, value in tree.items() if key != "format"}
    return Rows({**reading, "select": {**tree["select"], "list_of_selects": selects}}, structure)
