"""What the settings of a regime worker must agree on, said before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from obflow.metrics import Metrics
from obflow.settings import RegimeSettings, Settings
from processors.regimes.agent import Out
from processors.regimes.app import is_asked, open_desk, rule_settings
from processors.regimes.rules import RuleSettings
from schemas.errors import UsageError

OUT: Out = object.__new__(Out)


def settings(**regimes: object) -> Settings:
    return Settings(regimes=RegimeSettings(**regimes))  # type: ignore[arg-type] # changes of a parametrised test


def test_the_settings_defaults_are_the_rules_own() -> None:
    assert rule_settings(RegimeSettings()) == RuleSettings()


def test_every_threshold_is_a_setting() -> None:
    assert set(RuleSettings.__struct_fields__) <= set(RegimeSettings.model_fields)
    assert rule_settings(RegimeSettings(direction_enter=2.5)).direction_enter == 2.5


@pytest.mark.parametrize("changed", [{"direction_leave": 1.1}, {"volatile_enter": 0.5}])
def test_a_label_left_above_where_it_is_entered_is_refused(changed: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="_leave"):
        rule_settings(RegimeSettings(**changed))  # type: ignore[arg-type] # one float


@pytest.mark.parametrize(
    ("chosen", "asked"),
    [
        ({}, False),
        ({"model": "m"}, False),
        ({"base_url": "http://127.0.0.1:1/v1"}, True),
        ({"api_key": SecretStr("k")}, True),
    ],
)
def test_a_model_is_asked_where_an_endpoint_or_a_key_is_set(chosen: dict[str, object], asked: bool) -> None:
    assert is_asked(settings(**chosen).regimes) is asked


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"base_url": "http://127.0.0.1:1/v1"}, "name regimes.model"),
        ({"base_url": "127.0.0.1:1", "model": "m"}, "no address"),
        ({"base_url": "ftp://host/v1", "model": "m"}, "no address"),
        ({"base_url": "http://[::1", "model": "m"}, "no address"),
        ({"base_url": "http://host:99999/v1", "model": "m"}, "no address"),
        ({"base_url": "http://me:secret@host/v1", "model": "m"}, "credentials"),
        ({"base_url": "http://host/v1?key=secret", "model": "m"}, "credentials"),
        ({"api_key": SecretStr("two words"), "model": "m"}, "no key"),
    ],
)
async def test_a_desk_that_cannot_work_is_refused_with_a_sentence(chosen: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as raised:
        open_desk(settings(**chosen), OUT, Metrics("regimes"), "r1")
    assert "secret" not in str(raised.value)
    assert "two words" not in str(raised.value)


def test_a_key_from_a_file_opens_the_desk(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k-1\n")
    loaded = Settings.load({"regimes.api_key_file": str(tmp_path / "key")})
    assert is_asked(loaded.regimes)
    (tmp_path / "key").write_text("\n")
    assert not is_asked(Settings.load({"regimes.api_key_file": str(tmp_path / "key")}).regimes)
