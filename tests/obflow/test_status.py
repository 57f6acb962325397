"""Tables of the status: what grew between two looks, and what is said where a part cannot be seen."""

from __future__ import annotations

import io
from importlib.metadata import EntryPoint

import pytest
from rich.console import Console

from obflow.settings import Settings
from obflow.status import look as looking
from obflow.status.look import Look, look, since
from obflow.status.show import FittingTable
from obflow.status.table import StatusTable, as_json, shown, with_rates
from schemas.errors import StoreUnreachable

COLUMNS = ("table", "rows", "age_s")


def section(*rows: tuple[str, int | None, float]) -> StatusTable:
    return StatusTable("tables", 50, COLUMNS, tuple(rows), totals=("rows",))


def test_a_total_has_its_growth_a_second_beside_it() -> None:
    found = with_rates(section(("a", 100, 1.0), ("b", 7, 1.0)), section(("a", 150, 0.5), ("b", 7, 0.5)), 2.0)

    assert found.columns == ("table", "rows", "rows_per_s", "age_s")
    assert found.rows == (("a", 150, 25.0, 0.5), ("b", 7, 0.0, 0.5))


def test_what_is_new_or_not_known_has_no_rate() -> None:
    found = with_rates(section(("a", None, 1.0)), section(("a", 150, 0.5), ("new", 3, 0.1)), 2.0)

    assert [row[2] for row in found.rows] == [None, None]
    assert [row[2] for row in with_rates(None, section(("a", 1, 0.0)), 0.0).rows] == [None]


def test_tables_of_two_looks_are_compared_by_name() -> None:
    before, after = section(("a", 10, 1.0)), section(("a", 30, 1.0))
    other = StatusTable("topics", 40, ("topic", "rows"), (("t", 1),), totals=("rows",))

    found = since(Look((other, before), 100.0), Look((other, after), 104.0))
    assert [one.rows for one in found] == [(("t", 1, 0.0),), (("a", 30, 5.0, 1.0),)]


def test_json_has_each_table_by_name_and_what_else_is_said() -> None:
    found = as_json([section(("a", 1, 0.5)), StatusTable("model", 80, (), note="none asked")], "2026-01-01T00:00:00Z")

    assert found == {
        "at": "2026-01-01T00:00:00Z",
        "tables": [{"table": "a", "rows": 1, "age_s": 0.5}],
        "model": [],
        "notes": {"model": "none asked"},
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (True, "yes"), (12345, "12,345"), (0.12345, "0.1235"), (61799.05, "61,799.05"), ("x", "x")],
)
def test_values_are_shown_as_people_read_them(value: str | float | None, text: str) -> None:
    assert shown(value) == text


def away(settings: Settings) -> list[StatusTable]:
    del settings
    raise StoreUnreachable("no ClickHouse answers at nowhere")


def broken(settings: Settings) -> list[StatusTable]:
    raise ZeroDivisionError(f"planted {settings.kafka.topic_prefix}")


def fine(settings: Settings) -> list[StatusTable]:
    assert settings.kafka.request_timeout_seconds <= looking.PATIENCE_S
    return [section(("a", 1, 0.5))]


def test_a_part_that_does_not_answer_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [EntryPoint(name, f"{__name__}:{name}", looking.GROUP) for name in ("away", "broken", "fine")]
    monkeypatch.setattr(looking, "entry_points", lambda group: entries)

    found = {one.name: one for one in look(Settings()).sections}

    assert found["tables"].rows == (("a", 1, 0.5),)
    assert found["away"].note == "not known: no ClickHouse answers at nowhere"
    assert found["broken"].note == "not known: ZeroDivisionError: planted"


def test_an_instrument_is_not_broken_on_a_terminal_of_80_columns() -> None:
    columns = ("instrument", "source", "status", "mid", "spread_bps", "obi_10bps", "age_s")
    book = ("binance-futures:BTCUSDT", "simulator", "OK", 61_818.55, 0.016, -0.139, 2.9)
    drawn = io.StringIO()
    Console(file=drawn, width=80).print(FittingTable(StatusTable("books", 1, columns, (book,))))

    assert any("binance-futures:BTCUSDT" in line and "simulator" in line for line in drawn.getvalue().splitlines())


@pytest.mark.parametrize("width", [80, 120, 300])
def test_every_figure_is_whole_and_no_line_is_longer_than_the_terminal(width: int) -> None:
    columns = ("reader", "members", "read_records", "read_records_per_s", "waiting_records", "waiting_s")
    figures = (12, 8_449_123, 52.17, 10_612, 7_203.4)
    row = ("obflow-anomalies-episodes-changelog", *figures)
    drawn = io.StringIO()
    Console(file=drawn, width=width).print(FittingTable(StatusTable("workers", 1, columns, (row,))))
    lines = drawn.getvalue().splitlines()

    assert max(map(len, lines)) <= width
    assert [shown(figure) for figure in figures if not any(shown(figure) in line.split() for line in lines)] == []
