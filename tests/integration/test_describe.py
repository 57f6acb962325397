"""`obflow describe`: every column of every table and view has its meaning, and factors have unit and range."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from obflow.settings import ClickHouseSettings, Settings
from schemas.factors import FACTORS
from sinks import migrate
from sinks.describe import describe
from sinks.store import Store
from sinks.tables import TABLES
from tests.integration.advising import Command, flags
from tests.integration.made_tables import make_tables

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def store(clickhouse_server: ClickHouseSettings) -> Iterator[Store]:
    settings = clickhouse_server.model_copy(update={"database": "test_describe"})
    make_tables(settings)
    store = Store(settings)
    yield store
    store.command("DROP DATABASE test_describe SYNC")
    store.close()


@pytest.mark.parametrize("name", [*TABLES, *(view.name for view in migrate.views())])
def test_every_column_says_what_it_means(store: Store, name: str) -> None:
    assert [column.name for column in describe(store, name) if not column.meaning] == []


def test_a_factor_has_its_unit_and_range(store: Store) -> None:
    found = {column.name: column for column in describe(store, "factors")}

    assert {factor.name: found[factor.name].unit for factor in FACTORS} == {
        factor.name: factor.unit for factor in FACTORS
    }
    assert (found["obi_l1"].range, found["spread_bps"].unit) == ("-1 … 1", "bps")


def test_the_command_is_readable_at_eighty_columns(
    store: Store,
    clickhouse_server: ClickHouseSettings,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del store
    monkeypatch.setenv("COLUMNS", "80")
    where = flags(Settings(clickhouse=clickhouse_server.model_copy(update={"database": "test_describe"})))
    run = Command(capsys)
    said = run("describe", "factors", *where)
    assert max(map(len, said.splitlines())) <= 80
    assert any(line.startswith("obi_l1 ") and "ratio" in line for line in said.splitlines())
    found = json.loads(run("describe", "factors_1m", "--json", *where).splitlines()[-1])
    assert {"name": "open", "unit": "quote", "range": "", "meaning": "first mid of the minute"}.items() <= next(
        one for one in found["columns"] if one["name"] == "open"
    ).items()
    assert "there are" in run("describe", "nothing", *where, code=2)
