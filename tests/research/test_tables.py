"""Events as Parquet and CSV."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from research.replay import FactorReplay
from research.tables import COLUMNS, event_table, row, table_row
from schemas.errors import FatalError, UsageError
from schemas.factors import FACTOR_NAMES, FACTORS
from sinks.tables import TABLES
from tests.processors.feed import ENGINE
from tests.research.fixtures import replay

HEAD = ["venue", "symbol", "sequence", "exchange_ns", "received_ns", "status"]


def events() -> list[tuple[object, ...]]:
    return [row(item) for item in FactorReplay(replay("binance"), ENGINE)]


def written(path: Path) -> Path:
    with event_table(path, "a run") as write:
        for item in FactorReplay(replay("binance"), ENGINE):
            write(item)
    return path


def test_the_columns_are_the_head_and_every_factor_by_its_name() -> None:
    assert list(COLUMNS) == [*HEAD, *FACTOR_NAMES]


def test_parquet_gives_back_every_value_and_null_for_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("research.tables.ROW_GROUP", 7)
    table = pq.read_table(written(tmp_path / "f.parquet"))

    found = [table_row(item, "a run") for item in FactorReplay(replay("binance"), ENGINE)]
    assert table.schema.names == [column.name for column in TABLES["factors"].row_columns]
    times = {"received_at", "exchange_at", "decided_at"}
    columns = {name: table[name].cast("int64") if name in times else table[name] for name in table.schema.names}
    assert list(zip(*(column.to_pylist() for column in columns.values()), strict=True)) == found
    assert set(table["run"].to_pylist()) == {"a run"}
    assert any(None in values for values in found)


def test_parquet_says_the_unit_of_every_factor(tmp_path: Path) -> None:
    schema = pq.read_schema(written(tmp_path / "f.parquet"))

    found = {name: (schema.field(name).metadata or {}).get(b"unit", b"").decode() for name in FACTOR_NAMES}
    assert found == {factor.name: factor.unit for factor in FACTORS}
    assert str(schema.field("received_at").type) == "timestamp[ns, tz=UTC]"


def test_csv_gives_back_every_bit_and_an_empty_field_for_none(tmp_path: Path) -> None:
    with written(tmp_path / "f.csv").open(newline="") as file:
        names, *rows = list(csv.reader(file))

    assert names == list(COLUMNS)
    for texts, values in zip(rows, events(), strict=True):
        for text, value in zip(texts, values, strict=True):
            assert text == "" if value is None else type(value)(text) == value  # type: ignore[call-arg]


def test_a_failure_midway_leaves_no_file(tmp_path: Path) -> None:
    for name in ("f.csv", "f.parquet"):
        with pytest.raises(FatalError, match="midway"), event_table(tmp_path / name):
            raise FatalError("midway")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_recording_is_an_empty_table(tmp_path: Path) -> None:
    with event_table(tmp_path / "f.parquet"):
        pass
    assert pq.read_table(tmp_path / "f.parquet").num_rows == 0


def test_another_ending_or_a_folder_that_is_not_there_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"neither \.csv nor \.parquet"), event_table(tmp_path / "f.xlsx"):
        pass
    with pytest.raises(FatalError, match="cannot be written"), event_table(tmp_path / "none" / "f.csv"):
        pass
