"""What the embedded engine reads out of a statement's text before it runs it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obflow.embedded.clickhouse_sql import (
    QueryRefused,
    code_of,
    name_by_comment,
    parse_statement,
    refuse_file_access,
)


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
    statement = parse_statement(head, data) if place == "address" else parse_statement("", head.encode() + b"\n" + data)
    assert statement.data is not None
    assert bytes(statement.data) == data
    assert statement.input_format == "Native"
    assert not statement.answers
    assert "FORMAT Native" not in statement.text


@given(st.binary(), st.sampled_from(["\n", "\r\n"]))
def test_no_data_can_be_mistaken_for_sql(data: bytes, end: str) -> None:
    statement = parse_statement("", b"INSERT INTO t FORMAT RowBinary" + end.encode() + data)
    assert statement.data is not None
    assert bytes(statement.data) == data


def test_settings_of_an_insert_stand_apart_so_that_they_can_follow_the_file() -> None:
    statement = parse_statement("INSERT INTO t (a) SETTINGS max_threads=1, b='it\\'s' FORMAT CSV", b"1\n")
    assert statement.text == "INSERT INTO t (a)"
    assert statement.insert_settings == "SETTINGS max_threads=1, b='it\\'s'"


def test_values_are_data_too_and_are_not_searched_for_semicolons() -> None:
    statement = parse_statement("", b"INSERT INTO t (a) VALUES ('x;y'); ")
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
    ],
)
def test_an_insert_that_selects_is_one_text(sql: str) -> None:
    statement = parse_statement("", sql.encode())
    assert statement.text == sql
    assert statement.data is None


@pytest.mark.parametrize(
    ("sql", "answers", "output"),
    [
        ("SELECT 1", True, ""),
        ("(SELECT 1) UNION ALL (SELECT 2) FORMAT CSV", True, "CSV"),
        ("select 'FORMAT CSV'", True, ""),
        ("SELECT 1 FORMAT JSON SETTINGS max_threads = 1", True, "JSON"),
        ("/* why */ WITH 1 AS x SELECT x\n FORMAT Native;", True, "Native"),
        ("SHOW TABLES", True, ""),
        ("DESCRIBE t", True, ""),
        ("KILL QUERY WHERE 1", True, ""),
        ("CREATE TABLE t (a Int8) ENGINE = Memory", False, ""),
        ("ALTER TABLE t ADD COLUMN b Int8", False, ""),
    ],
)
def test_a_statement_tells_whether_it_answers_and_in_which_format(sql: str, answers: bool, output: str) -> None:
    statement = parse_statement(sql, b"")
    assert (statement.answers, statement.output_format) == (answers, output)


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("", 62),
        (" ; ", 62),
        ("-- nothing\n", 62),
        ("SELECT 1; DROP TABLE t", 62),
        ("SELECT 1 INTO OUTFILE 'x'", 358),
        ("INSERT INTO t FROM INFILE 'x' FORMAT CSV", 358),
        ("SET max_threads = 1", 48),
        ("use obflow", 48),
        ("CREATE TEMPORARY TABLE x (a Int8)", 48),
    ],
)
def test_what_a_server_would_refuse_is_refused_with_its_code(sql: str, code: int) -> None:
    with pytest.raises(QueryRefused) as refused:
        parse_statement(sql, b"")
    assert refused.value.code == code


@pytest.mark.parametrize(
    "sql", ["SELECT 1;", "SELECT ';'", "SELECT 1 -- ; no", "SELECT `a;b` FROM t", "SELECT $x$ ; ' $x$, ';'"]
)
def test_a_semicolon_inside_a_literal_a_name_or_a_comment_ends_nothing(sql: str) -> None:
    assert parse_statement(sql, b"").answers


def test_bytes_that_are_no_text_are_a_syntax_error() -> None:
    with pytest.raises(QueryRefused, match="UTF-8") as refused:
        parse_statement("", b"SELECT \xff")
    assert refused.value.code == 62


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT file('/etc/passwd')",
        "SELECT FILE ( '/etc/passwd')",
        "SELECT file/* */('/etc/passwd')",
        "SELECT `file`('/etc/passwd')",
        "SELECT \"f\\x69le\"('/etc/passwd')",
        "SELECT $$'$$, file('/etc/passwd'), $$'$$",
    ],
)
def test_a_reader_cannot_hide_a_call_of_the_file_function(sql: str) -> None:
    with pytest.raises(QueryRefused) as refused:
        refuse_file_access(sql)
    assert refused.value.code == 497


@pytest.mark.parametrize("sql", ["SELECT 'file(x)'", "SELECT profile(1)", "SELECT file FROM t", "SELECT 1 -- file(x)"])
def test_a_reader_may_say_file_where_nothing_is_called(sql: str) -> None:
    refuse_file_access(sql)


def test_a_query_is_killed_by_the_name_its_client_gave_it() -> None:
    killed = name_by_comment("KILL QUERY WHERE query_id = 'query_id' SYNC")
    assert killed == "KILL QUERY WHERE Settings['log_comment'] = 'query_id' SYNC"
    assert name_by_comment("SELECT query_id FROM t") == "SELECT query_id FROM t"


def test_code_is_what_is_left_without_literals_and_comments() -> None:
    assert code_of("SELECT 'it''s \\' x', `a`, `b c` /* d */ FROM e # f") == "SELECT '', a, _   FROM e  "
