"""The demo's words for a second terminal: what is copied from them works there."""

from __future__ import annotations

from pathlib import Path

import pytest

from obflow.embedded.demo.command import how_to_query
from obflow.embedded.demo.plan import DemoPlan, DemoSource
from obflow.embedded.demo.run import PLACED, Demo
from obflow.settings import Settings


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No settings but the defaults."""
    monkeypatch.chdir(tmp_path)
    for name in ("OBFLOW_CONFIG", "OBFLOW_KAFKA__PARTITIONS"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def environment(settings: Settings, folder: Path) -> dict[str, str]:
    plan = DemoPlan(DemoSource.SIMULATOR, ("X",), "binance", None, workers=1, seconds=1.0)
    return Demo(plan, settings, folder, report=lambda sentence: None).environment


def test_a_demo_at_the_usual_addresses_needs_no_settings_in_a_second_terminal(
    alone: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = how_to_query(environment(Settings.load(), tmp_path), Settings.load())
    assert "export" not in said
    assert said.splitlines()[0].startswith("ask it, in a second terminal: .venv/bin/obflow query ")


def test_what_differs_is_one_line_that_makes_every_command_see_the_demo(
    alone: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flags = {"kafka.partitions": 8, "kafka.bootstrap_servers": "127.0.0.1:40001", "clickhouse.port": 41234}
    of_demo = Settings.load(flags)
    first, *_ = how_to_query(environment(of_demo, tmp_path), Settings.load()).splitlines()
    export = first.removeprefix("in a second terminal, first: export ")
    assert sorted(export.split()) == [
        "OBFLOW_CLICKHOUSE__PORT=41234",
        "OBFLOW_KAFKA__BOOTSTRAP_SERVERS=127.0.0.1:40001",
        "OBFLOW_KAFKA__PARTITIONS=8",
    ]
    for item in export.split():
        alone.setenv(*item.split("=", 1))
    there = Settings.load().shown()
    assert {key: there[key] for key in PLACED} == {key: of_demo.shown()[key] for key in PLACED}
