"""Where an INSERT's text ends and its rows begin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedded.clickhouse_sql import QueryRefused, split_statement


@pytest.mark.parametrize(
    "head",
    [
        "INSERT INTO t FORMAT Native",
        'insert into obflow.t (a, `b c`, "d)") format Native',
        "INSERT INTO TABLE `we ird`.`t`(a)FORMAT Native",
        "  /* from a tool; FORMAT CSV */ INSERT INTO t SETTINGS async_insert = 0, x='a FORMAT b' FORMAT Native",
        "-- first\nINSERT INTO {table:Identifier} FORMAT Native",
    ],
)
@pytest.mark.parametrize("place", ["body", "address"])
def test_the_data_of_an_insert_is_handed_over_byte_for_byte(head: str, place: str) -> None:
    data = b"\x00\xff; SELECT 1 FORMAT CSV\n'"
    statement = split_statement(head, data) if place == "address" else split_statement("", head.encode() + b"\n" + data)
    assert statement.data is not None
    assert bytes(statement.data) == data
    assert statement.input_format == "Native"
    assert "FORMAT Native" not in statement.text


@given(st.binary(), st.sampled_from(["\n", "\r\n"]))
def test_no_data_can_be_mistaken_for_sql(data: bytes, end: str) -> None:
    statement = split_statement("", b"INSERT INTO t FORMAT RowBinary" + end.encode() + data)
    assert statement.data is not None
    assert bytes(statement.data) == data


def test_settings_of_an_insert_follow_the_file_its_rows_are_read_from() -> None:
    statement = split_statement("INSERT INTO t (a) SETTINGS max_threads=1, b='it\\'s' FORMAT CSV", b"1\n")
    assert statement.reading_from("/rows") == (
        "INSERT INTO t (a) FROM INFILE '/rows' SETTINGS max_threads=1, b='it\\'s' FORMAT CSV"
    )


def test_values_are_data_too() -> None:
    statement = split_statement("", b"INSERT INTO t (a) VALUES ('x;y'); ")
    assert statement.input_format == "Values"
    assert statement.data is not None
    assert bytes(statement.data) == b"('x;y'); "


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t SELECT * FROM values('a Int8', 1)",
        "INSERT INTO t SELECT 'FORMAT CSV'",
        "INSERT INTO FUNCTION file('x.csv') SELECT 1",
        "INSERT INTO t WITH 1 AS x SELECT x",
        "SELECT 1; SELECT 2",
        "",
    ],
)
def test_every_other_statement_is_one_text(sql: str) -> None:
    statement = split_statement("", sql.encode())
    assert statement.text == sql
    assert statement.data is None


def test_a_body_continues_the_statement_of_the_address() -> None:
    assert split_statement("SELECT", b"1").text == "SELECT\n1"


def test_bytes_that_are_no_text_are_a_syntax_error() -> None:
    with pytest.raises(QueryRefused, match="UTF-8") as refused:
        split_statement("", b"SELECT \xff")
    assert refused.value.code == 62
