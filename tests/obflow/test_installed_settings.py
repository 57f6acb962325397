"""Sections of other distributions: found by entry point, and as good as the pipeline's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import ClassVar, Protocol, runtime_checkable

import pytest
from pydantic import SecretStr

from obflow.cli import main
from obflow.settings import Seconds, Section, Settings, installed, json_schema, model, reference
from obflow.settings.installed import SETTINGS_GROUP
from schemas.errors import DependencyError, SettingsError
from sinks.settings import SinkSettings

Install = Callable[..., None]


class TideSettings(Section):
    """A section of somebody else."""

    UNITS: ClassVar = {"metres": "m"}

    gauge: str = "north pier"
    """Where the water is measured."""
    warn_metres: float = 3.5
    """Height at which a warning goes out."""
    poll_seconds: Seconds = 6.0
    """Time between two readings."""
    token: SecretStr = SecretStr("")
    """Key of the gauge."""
    token_file: Path | None = None
    """File that holds the key."""


class Unfinished(Section):
    """A section that cannot stand by itself."""

    harbour: str
    """No default."""


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Install]:
    """Adds sections to those that are installed, as the metadata of another distribution would."""
    module = ModuleType("tides")
    module.__dict__.update(TideSettings=TideSettings, Unfinished=Unfinished, height=3)
    monkeypatch.setitem(sys.modules, "tides", module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("obflow.logs.configure", lambda settings: None)

    def add(**sections: str) -> None:
        own = list(entry_points(group=SETTINGS_GROUP))
        more = [EntryPoint(name, value, SETTINGS_GROUP) for name, value in sections.items()]
        monkeypatch.setattr(installed, "entry_points", lambda group: {SETTINGS_GROUP: own + more}[group])
        forget()

    def forget() -> None:
        model.settings_class.cache_clear()
        model._leaves.cache_clear()

    yield add
    monkeypatch.undo()
    forget()


class TestSomebodyElsesSection:
    @pytest.fixture(autouse=True)
    def _tides(self, install: Install) -> None:
        install(tides="tides:TideSettings")

    def test_its_values_come_from_flag_environment_file_and_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Path("obflow.toml").write_text("[tides]\ngauge = 'south pier'\nwarn_metres = 2.0\n")
        monkeypatch.setenv("OBFLOW_TIDES__WARN_METRES", "4.25")
        settings = Settings.load({"tides.poll_seconds": "9"})
        assert settings.of(TideSettings) == TideSettings(gauge="south pier", warn_metres=4.25, poll_seconds=9.0)
        assert settings.origins()["tides.gauge"] == "file obflow.toml"
        assert settings.origins()["tides.warn_metres"] == "environment OBFLOW_TIDES__WARN_METRES"
        assert settings.origins()["tides.poll_seconds"] == "flag"
        assert settings.origins()["tides.token"] == "default"

    def test_it_is_listed_after_the_roles_with_units_of_its_own(self) -> None:
        entries = {entry.key: entry for entry in reference()}
        assert entries["tides.warn_metres"].unit == "m"
        assert entries["tides.poll_seconds"].unit == "s"
        assert entries["kafka.partitions"].unit == ""
        assert entries["tides.gauge"].description == "Where the water is measured."
        names = list(dict.fromkeys(key.partition(".")[0] for key in entries))
        assert names[names.index("sink") :] == ["sink", "tides", "metrics", "status", "log"]
        assert list(json_schema()["properties"]) == names

    def test_the_command_shows_it_and_masks_its_secret(self, capsys: pytest.CaptureFixture[str]) -> None:
        Path("key").write_text("hunter2\n")
        assert main(["settings", "--set", "tides.token_file=key", "--set", "tides.warn_metres=1"]) == 0
        out = capsys.readouterr().out
        assert ["tides.warn_metres", "1.0"] in [line.split() for line in out.splitlines()]
        assert "tides.token  " in out
        assert "hunter2" not in out

    @pytest.mark.parametrize(
        ("key", "meant"), [("tides.guage", "tides.gauge"), ("tide.gauge", "tides.gauge"), ("sink.grup", "sink.group")]
    )
    def test_a_misspelt_name_is_refused_with_the_nearest(self, key: str, meant: str) -> None:
        with pytest.raises(SettingsError, match=rf"unknown setting {key} .*did you mean {meant}\?"):
            Settings.load({key: "x"})

    def test_a_misspelt_variable_is_refused_with_the_nearest(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OBFLOW_TIDES_GAUGE", "x")
        with pytest.raises(SettingsError, match=r"did you mean OBFLOW_TIDES__GAUGE\?"):
            Settings.load()

    def test_a_bad_value_is_refused(self) -> None:
        with pytest.raises(SettingsError, match=r"tides\.poll_seconds is not acceptable"):
            Settings.load({"tides.poll_seconds": 0})

    def test_a_copy_keeps_and_changes_it(self) -> None:
        changed = Settings().model_copy(update={"tides": TideSettings(gauge="buoy")})
        assert isinstance(changed, Settings)
        assert changed.of(TideSettings).gauge == changed.value("tides.gauge") == "buoy"
        assert changed.of(SinkSettings) == SinkSettings()


def test_a_section_that_nobody_installed_is_unknown_and_says_so() -> None:
    with pytest.raises(SettingsError, match=r"unknown setting tides\.gauge"):
        Settings.load({"tides.gauge": "x"})
    with pytest.raises(DependencyError, match="no settings section is a TideSettings"):
        Settings().of(TideSettings)


@runtime_checkable
class Grouped(Protocol):
    group: str


def test_a_section_is_found_by_name_if_it_has_what_is_asked_for() -> None:
    settings = Settings(sink=SinkSettings(group="other"))
    assert settings.section("sink", Grouped).group == "other"
    for name in ("kafka", "tides", "load"):
        with pytest.raises(DependencyError, match=f"no settings section {name} with what Grouped names"):
            settings.section(name, Grouped)


@pytest.mark.parametrize(
    ("name", "target", "told"),
    [
        ("tides", "tides_not_there:TideSettings", "tides cannot be loaded"),
        ("tides", "tides:Missing", "tides cannot be loaded"),
        ("tides", "tides:height", "tides is not a Section"),
        ("tides", "tides:Unfinished", "tides has no default for harbour"),
        ("high_tides", "tides:TideSettings", "'high_tides'.* has no name of a-z and 0-9"),
        ("Tides", "tides:TideSettings", "'Tides'.* has no name of a-z and 0-9"),
        ("sink", "tides:TideSettings", "sink is declared twice, once by tides:TideSettings"),
        ("kafka", "tides:TideSettings", "kafka cannot have this name"),
        ("cache", "tides:TideSettings", "cache cannot have this name"),
        ("load", "tides:TideSettings", "load cannot have this name"),
    ],
)
def test_a_section_that_cannot_be_used_is_refused_in_one_sentence(
    install: Install, capsys: pytest.CaptureFixture[str], name: str, target: str, told: str
) -> None:
    install(**{name: target})
    with pytest.raises(DependencyError, match=told):
        Settings.load()
    assert main(["settings"]) == DependencyError.exit_code
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert name in err
