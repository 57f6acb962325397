"""The demo: its roles are told what it was told, and its words for a second terminal work when copied."""

from __future__ import annotations

import os
import shlex
from contextlib import nullcontext
from pathlib import Path
from threading import Event

import pytest

from embedded.commands import MOST_WORKERS
from embedded.demo import children
from embedded.demo.children import PLACED
from embedded.demo.command import how_to_query
from embedded.demo.drain import groups
from embedded.demo.instruments import THREE_VENUES, USUAL, USUAL_ELSEWHERE, instruments
from embedded.demo.plan import DERIVED, MODEL, SCRIPTED, DemoPlan, DemoSource
from embedded.demo.run import Demo
from embedded.supervisor import Ended, Supervisor
from obflow.clickhouse import ClickHouseError
from obflow.compiled_cache import ENGINE
from obflow.settings import Settings
from obflow.status.parts import PAGES_FROM
from processors import compilation
from producers.simulator.venues import SIMULATED
from schemas.errors import FatalError, StoreUnreachable, UsageError


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No settings but the defaults."""
    monkeypatch.chdir(tmp_path)
    for name in ("OBFLOW_CONFIG", "OBFLOW_KAFKA__PARTITIONS"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def demo(settings: Settings, folder: Path) -> Demo:
    plan = DemoPlan(DemoSource.SIMULATOR, {"binance": ("X",)}, None, workers=1, seconds=1.0)
    return Demo(plan, settings, folder, report=lambda sentence: None)


def environment(settings: Settings, folder: Path) -> dict[str, str]:
    return demo(settings, folder).environment


def as_a_child(alone: pytest.MonkeyPatch, variables: dict[str, str]) -> Settings:
    """The settings a role loads where these are all its variables."""
    for name in set(os.environ) - set(variables):
        alone.delenv(name)
    for name, value in variables.items():
        alone.setenv(name, value)
    return Settings.load()


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


def test_a_role_has_every_setting_that_a_flag_a_variable_or_a_file_gave_the_demo(
    alone: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text("secret\n")
    file = tmp_path / "given.toml"
    file.write_text(f'[sink]\nflush_rows = 7\n[regimes]\nmodel = "of the file"\napi_key_file = "{key}"\n')
    (tmp_path / "obflow.toml").write_text("[producer]\nlinger_ms = 77\n")  # not the file that was named
    alone.setenv("OBFLOW_REGIMES__MODEL", "of the environment")
    flags = {"processor.thin_notional": "5.5", "clickhouse.password": "a word", "regimes.checkpoint_seconds": "9"}
    of_demo = Settings.load(flags, file)
    of_role = as_a_child(alone, children.environment(of_demo, {"OBFLOW_CLICKHOUSE__PORT": "41234"}))
    there, here = of_role.shown(), of_demo.shown()
    assert {name for name in there if there[name] != here[name]} == {
        "clickhouse.port",
        *(f"{section}.checkpoint_seconds" for section in ("processor", *DERIVED)),
    }
    assert of_role.clickhouse.password.get_secret_value() == "a word"
    assert of_role.regimes.api_key.get_secret_value() == "secret"


def test_a_command_beside_the_demo_is_told_its_settings_but_no_secret(
    alone: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = {"regimes.model": "two words", "clickhouse.password": "x", "log.level": "debug", "metrics.port": "9100"}
    said = how_to_query(environment(Settings.load(given), tmp_path), Settings.load()).splitlines()[0]
    assert shlex.split(said)[5:] == ["export", "OBFLOW_REGIMES__MODEL=two words"]


def test_how_the_caller_s_own_servers_are_reached_is_not_how_the_demo_s_are(
    alone: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    login = {"kafka.sasl_mechanism": "PLAIN", "kafka.sasl_username": "alice", "kafka.sasl_password": "x"}
    alone.setenv("OBFLOW_CLICKHOUSE__SECURE", "true")
    given = Settings.load({"kafka.security_protocol": "sasl_ssl", "kafka.options.a.b": "1", **login})
    of_role = as_a_child(alone, children.environment(given, {}))
    assert (of_role.kafka.security_protocol, of_role.kafka.sasl_username) == ("plaintext", "")
    assert not of_role.clickhouse.secure
    assert of_role.kafka.options == {"a.b": "1"}


def test_each_role_serves_its_metrics_at_a_port_of_its_own(alone: pytest.MonkeyPatch) -> None:
    names = ("processor 1", "sink", "producer")
    assert children.metrics_ports(Settings.load(), names) == dict.fromkeys(names, 0)
    counted = children.metrics_ports(Settings.load({"metrics.port": 65_533}), names)
    assert counted == {"processor 1": 65_533, "sink": 65_534, "producer": 65_535}
    with pytest.raises(UsageError, match="set it to 65533 at most"):
        children.metrics_ports(Settings.load({"metrics.port": 65_534}), names)


def test_status_looks_at_the_page_of_every_role_of_the_largest_demo() -> None:
    most = DemoPlan(DemoSource.SIMULATOR, dict.fromkeys(SIMULATED, ("X",)), None, MOST_WORKERS, None, model_port=1)
    assert len(most.roles) <= PAGES_FROM


@pytest.mark.parametrize(("code", "kind"), [(2, UsageError), (1, FatalError)])
def test_a_role_that_cannot_run_ends_the_demo_with_its_sentence(
    alone: pytest.MonkeyPatch, tmp_path: Path, code: int, kind: type[FatalError]
) -> None:
    end = Ended("replay", code, None, "{}\nobflow: there is no recording x: check the path")
    alone.setattr(Supervisor, "tick", lambda self: [end])
    with pytest.raises(FatalError) as caught:
        demo(Settings.load(), tmp_path).tick()
    assert type(caught.value) is kind
    assert str(caught.value) == "the demo's replay cannot run: there is no recording x: check the path"


def test_a_port_that_another_program_took_from_the_simulator_is_chosen_again(
    alone: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    running = demo(Settings.load(), tmp_path)
    for role in running.plan.producers:
        running._add(role)
    end = Ended("simulator", 2, None, "obflow: 127.0.0.1:1: 127.0.0.1:1 cannot be listened on (Address in use)")
    alone.setattr(Supervisor, "tick", lambda self: [end])
    started: list[str] = []
    alone.setattr(Supervisor, "start", lambda self, name: started.append(name))
    running.tick()
    port = running.plan.simulator_port
    assert port > 0
    assert started == ["simulator", "producer binance"]
    assert str(port) in running._roles.child("simulator").argv
    assert running.plan.environment["OBFLOW_PRODUCER__WEBSOCKET_URL"] == f"ws://127.0.0.1:{port}"


@pytest.mark.parametrize(("is_there", "started"), [(False, ["compiler"]), (True, [])])
def test_what_is_not_compiled_yet_is_compiled_beside_the_demo(
    alone: pytest.MonkeyPatch, tmp_path: Path, is_there: bool, started: list[str]
) -> None:
    running, found = demo(Settings.load(), tmp_path), list[str]()
    alone.setattr("embedded.demo.run.is_compiled", lambda what, cache: is_there and what == ENGINE)
    alone.setattr(Supervisor, "start", lambda self, name: found.append(name))
    running.compile_beside()
    assert found == started
    for name in started:
        assert running._roles.child(name).argv[1:] == ("-m", compilation.__name__, compilation.IDLE)


def test_a_scripted_endpoint_answers_unless_the_caller_names_a_model(alone: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a key")
    plan = DemoPlan(DemoSource.LIVE, {"okx": ("B",)}, None, workers=1, seconds=None, model_port=7)
    assert [role.words for role in plan.consumers if role.line == MODEL] == [("scripted-model", "--port", "7")]
    assert plan.environment == {"OBFLOW_REGIMES__BASE_URL": "http://127.0.0.1:7/v1", "OBFLOW_REGIMES__MODEL": SCRIPTED}
    assert not children.names_a_model(Settings.load())
    for name, given in {"base_url": "x", "model": "x", "api_key": "x", "api_key_file": str(key)}.items():
        assert children.names_a_model(Settings.load({f"regimes.{name}": given}))


@pytest.mark.parametrize("error", [StoreUnreachable("away"), ClickHouseError("cut off"), ConnectionResetError()])
def test_an_engine_that_ends_in_mid_answer_leaves_the_picture_its_last_figure(
    alone: pytest.MonkeyPatch, tmp_path: Path, error: Exception
) -> None:
    def answers(_client: object, _database: str) -> dict[str, int]:
        asked.append(None)
        if len(asked) > 1:
            raise error
        return {"factors": 7}

    asked: list[None] = []
    alone.setattr("embedded.demo.run.count_rows", answers)
    alone.setattr(Demo, "client", lambda self: nullcontext())
    running = demo(Settings.load(), tmp_path)
    assert [running.rows() for _ in range(3)] == [7, 7, 7]


def test_nobody_is_told_to_ask_before_there_is_a_row_or_the_sink_took_too_long(
    alone: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[int] = []
    alone.setattr(Demo, "rows", lambda self: asked.append(1) or len(asked) // 3)
    alone.setattr("embedded.demo.run.TICK_S", 0.0)
    waiting = demo(Settings.load(), tmp_path)
    waiting.wait_first_row(Event())
    assert len(asked) == 3

    alone.setattr(Demo, "rows", lambda self: 0)
    alone.setattr("embedded.demo.run.FIRST_ROW_S", 0.0)
    waiting.wait_first_row(Event())


@pytest.mark.parametrize(
    ("venues", "symbols", "shown"),
    [
        ([], [], {venue: USUAL.get(venue, USUAL_ELSEWHERE) for venue in THREE_VENUES}),
        (["okx"], [], {"okx": USUAL["okx"]}),
        ([], ["BTCUSDT", "BTCUSDT"], {"binance-futures": ("BTCUSDT",)}),
        (["binance", "bybit"], ["BTCUSDT"], {"binance": ("BTCUSDT",), "bybit": ("BTCUSDT",)}),
        (["bybit"], ["okx:BTC-USDT"], {"bybit": USUAL_ELSEWHERE, "okx": ("BTC-USDT",)}),
    ],
)
def test_the_demo_runs_three_venues_or_what_was_asked_for(
    venues: list[str], symbols: list[str], shown: dict[str, tuple[str, ...]]
) -> None:
    assert instruments(venues, symbols) == shown


def test_a_recording_is_of_one_venue() -> None:
    assert list(instruments([], [], single=True)) == ["binance-futures"]
    with pytest.raises(UsageError, match="give --venue okx alone"):
        instruments(["okx", "bybit"], [], single=True)
    with pytest.raises(UsageError, match="leave --symbol out"):
        instruments([], ["BTCUSDT"], single=True)


def test_each_venue_has_a_producer_and_all_of_them_one_simulator() -> None:
    plan = DemoPlan(DemoSource.SIMULATOR, {"bybit": ("A",), "okx": ("B", "C")}, None, workers=1, seconds=None)
    simulator, *producers = plan.producers
    assert [word for word in simulator.words if ":" in word] == ["bybit:A", "okx:B", "okx:C"]
    assert simulator.words[-4:] == ("--dislocate", "okx", "--dislocate-every", "20")
    assert [role.words for role in producers] == [
        ("produce", "bybit", "--symbol", "A"),
        ("produce", "okx", "--symbol", "B", "--symbol", "C"),
    ]
    assert len({role.name for role in plan.roles}) == len(plan.roles)
    assert plan.roles[-1].name == "sink"


def test_the_demo_drains_the_groups_its_workers_are_in(alone: pytest.MonkeyPatch) -> None:
    """A worker's group has the topics' prefix, a sink's has not."""
    assert groups(Settings.load({"kafka.topic_prefix": "apart."}), ["quotes"]) == (
        ("apart.obflow-processor", "processors"),
        ("apart.obflow-regimes", "regimes"),
        ("apart.obflow-quotes", "quotes"),
        ("obflow-sink", "sinks"),
    )
