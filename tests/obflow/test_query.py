"""`obflow query` prints an answer as asked."""

from __future__ import annotations

import json

import pytest

from obflow import query as module
from obflow.query import Format, query
from schemas.errors import UsageError
from tests.obflow.hostile import obeyed

ANSWERS = {
    "JSONCompact": b'{"meta":[{"name":"symbol","type":"String"},{"name":"n","type":"UInt64"}],'
    b'"data":[["BTCUSDT",18446744073709551615],[null,2]],"rows":2}',
    "JSONCompactStrings": b'{"meta":[{"name":"symbol","type":"String"},{"name":"n","type":"UInt64"}],'
    b'"data":[["[red]BTCUSDT","18446744073709551615"],[null,"2"]],"rows":2}',
    "CSVWithNames": b'"symbol","n"\n"BTCUSDT",1\n',
    "TabSeparatedWithNames": b"symbol\tn\nBTCUSDT\t1\n",
}


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(_settings: object, sql: str, output: str) -> bytes:
        assert sql == "SELECT 1"
        return ANSWERS[output]

    monkeypatch.setattr(module, "_ask", ask)


def test_json_is_one_object_of_columns_and_rows(capsys: pytest.CaptureFixture[str]) -> None:
    query("SELECT 1", json=True)
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert json.loads(printed) == {"columns": ["symbol", "n"], "rows": [["BTCUSDT", 18446744073709551615], [None, 2]]}


def test_the_json_format_is_the_json_flag(capsys: pytest.CaptureFixture[str]) -> None:
    query("SELECT 1", Format.JSON)
    assert json.loads(capsys.readouterr().out)["columns"] == ["symbol", "n"]


def test_away_from_a_terminal_the_answer_is_tsv_with_names(capsys: pytest.CaptureFixture[str]) -> None:
    query("SELECT 1")
    assert capsys.readouterr().out == "symbol\tn\nBTCUSDT\t1\n"


def test_csv_is_clickhouses_own(capsys: pytest.CaptureFixture[str]) -> None:
    query("SELECT 1", Format.CSV)
    assert capsys.readouterr().out == '"symbol","n"\n"BTCUSDT",1\n'


def test_a_table_shows_every_digit_and_takes_no_value_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    query("SELECT 1", Format.TABLE)
    printed = capsys.readouterr().out
    assert "18446744073709551615" in printed
    assert "[red]BTCUSDT" in printed
    assert printed.endswith("2 rows\n")


def test_a_long_table_says_how_much_it_shows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHOWN_ROWS", 1)
    query("SELECT 1", Format.TABLE)
    assert capsys.readouterr().out.endswith("2 rows, the first 1 shown; --format csv prints all\n")


def test_a_statement_may_end_as_on_a_console(capsys: pytest.CaptureFixture[str]) -> None:
    query(" SELECT 1 ;\n", Format.CSV)
    assert capsys.readouterr().out == ANSWERS["CSVWithNames"].decode()


@pytest.mark.parametrize("sql", ["", "  ", ";"])
def test_an_empty_statement_is_refused_before_anybody_is_asked(sql: str) -> None:
    with pytest.raises(UsageError, match="the statement is empty"):
        query(sql)


@pytest.mark.parametrize("sql", ["SELECT 1 FORMAT JSON", "select 1 format CSVWithNames;"])
def test_a_statement_that_names_a_format_is_told_of_the_flag(sql: str) -> None:
    with pytest.raises(UsageError, match=r"leave that out and choose one with --format table\|tsv\|csv\|json"):
        query(sql)


@pytest.mark.parametrize("format_", [Format.JSON, Format.TABLE])
def test_a_value_that_is_no_utf8_is_shown_all_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, format_: Format
) -> None:
    answer = b'{"meta":[{"name":"payload","type":"String"}],"data":[["a\xff\\u001b[2J"]],"rows":1}'
    monkeypatch.setattr(module, "_ask", lambda *_: answer)
    query("SELECT 1", format_)
    printed = capsys.readouterr().out
    assert "a\ufffd" in printed
    assert obeyed(printed) == ""
