"""Rows beside INSERT … SELECT are read where the statement says `input`, and nothing else of it is touched."""

from __future__ import annotations

from typing import Any

import pytest

from embedded.clickhouse_inputs import read_from
from embedded.clickhouse_sql import QueryRefused, split_statement

Tree = dict[str, Any]
KINDS: Tree = {"type": "Literal", "value": {"field_type": "String", "value": "a UInt64, b String"}}
WHERE: Tree = {"type": "Function", "name": "throwIf", "arguments": {"type": "ExpressionList", "children": []}}


def source(name: str, *arguments: Tree) -> Tree:
    call = {"type": "Function", "name": name, "arguments": {"type": "ExpressionList", "children": list(arguments)}}
    return {
        "type": "TablesInSelectQueryElement",
        "table_expression": {"type": "TableExpression", "table_function": call},
    }


def select(*sources: Tree) -> Tree:
    return {"type": "SelectQuery", "tables": {"type": "TablesInSelectQuery", "children": list(sources)}, "where": WHERE}


def insert(*selects: Tree, kind: str = "InsertQuery") -> Tree:
    return {
        "type": kind,
        "table": {"type": "Identifier", "name": "t"},
        "format": "Arrow",
        "select": {
            "type": "SelectWithUnionQuery",
            "list_of_selects": {"type": "ExpressionList", "children": list(selects)},
        },
    }


def test_input_becomes_a_table_and_the_condition_stays_as_it_is() -> None:
    tree = insert(select(source("input", KINDS)))
    read = read_from(tree, "rows_of_it")

    [found] = read.tree["select"]["list_of_selects"]["children"]
    [element] = found["tables"]["children"]
    named = {"type": "TableExpression", "database_and_table_name": {"type": "TableIdentifier", "name": "rows_of_it"}}
    assert element["table_expression"] == named
    assert found["where"] is WHERE
    assert read.structure == "a UInt64, b String"
    assert "format" not in read.tree
    assert tree == insert(select(source("input", KINDS)))


@pytest.mark.parametrize(
    "tree",
    [
        insert(select(source("file", KINDS))),
        insert(select(source("input"))),
        insert(select(source("input", KINDS, KINDS))),
        insert(select(source("input", {"type": "Identifier", "name": "kinds"}))),
        insert(select(source("input", {"type": "Literal", "value": {"field_type": "UInt64", "value": 1}}))),
        insert(select(source("input", KINDS), source("input", KINDS))),
        insert(select(source("input", KINDS)), select(source("input", KINDS))),
        insert(kind="InsertQuery"),
        insert(select(source("input", KINDS)), kind="CreateQuery"),
        {"type": "InsertQuery", "table": {"type": "Identifier", "name": "t"}},
        {"type": "SelectWithUnionQuery"},
    ],
)
def test_anything_but_one_input_with_its_columns_is_refused(tree: Tree) -> None:
    with pytest.raises(QueryRefused, match="are read once, as FROM input"):
        read_from(tree, "rows_of_it")


def test_a_select_from_input_in_the_address_has_its_rows_in_the_body() -> None:
    text = "INSERT INTO t (a)\nSELECT * from INPUT ('a UInt64') WHERE 1 FORMAT Arrow "
    statement = split_statement(text, b"\x00FORMAT CSV")

    assert (statement.text, statement.selects, statement.input_format) == (text, True, "Arrow")
    assert bytes(statement.data or b"") == b"\x00FORMAT CSV"


@pytest.mark.parametrize(
    "text",
    ["INSERT INTO t SELECT 1", "SELECT * FROM input('a UInt8') FORMAT TSV", "INSERT INTO t SELECT * FROM input('a')"],
)
def test_every_other_select_in_the_address_goes_on_in_the_body(text: str) -> None:
    statement = split_statement(text, b"more of it")
    assert (statement.text, statement.data) == (f"{text}\nmore of it", None)
