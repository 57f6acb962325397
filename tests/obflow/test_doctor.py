"""The doctor: every finding with its remedy, and no check that hides another."""

from __future__ import annotations

import json
import resource
import socket
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from obflow import cli, doctor
from obflow.broker_checks import broker_checks
from obflow.doctor import Check, audit_problems, digests_equal, examine, runtime_checks
from obflow.settings import ClickHouseSettings, KafkaSettings, Settings
from schemas.errors import BrokerUnreachable, DependencyError


@dataclass
class Found:
    """An audit's result."""

    expected: int = 10
    stored: int = 10
    lost: int = 0
    duplicates: int = 0
    instruments: dict[str, dict[str, int]] = field(
        default_factory=lambda: {"binance:BTCUSDT": {"expected": 10, "stored": 10, "lost": 0, "duplicates": 0}}
    )
    contents: dict[str, str] | None = None


def well(settings: Settings) -> list[Check]:
    return [Check("well", True, "as it should be")]


def sick(settings: Settings) -> list[Check]:
    return [Check("sick", False, "it has a cold", "tea")]


def breaks(settings: Settings) -> list[Check]:
    raise ZeroDivisionError("by zero")


def unreachable(settings: Settings) -> list[Check]:
    raise BrokerUnreachable("no broker answers", next_step="start one")


def clean(settings: Settings, *, patience_seconds: float, digests: bool) -> Found:
    """A pipeline at work: what it has just received is stored when it was given a moment."""
    return Found(lost=0 if patience_seconds else 3, contents={"binance:BTCUSDT": "equal"} if digests else None)


def wrong(settings: Settings, *, patience_seconds: float, digests: bool) -> Found:
    contents = {"binance:BTCUSDT": "different", "binance:ETHUSDT": "not comparable"}
    return Found(contents=contents if digests else None)


def dirty(settings: Settings, *, patience_seconds: float, digests: bool) -> Found:
    return Found(lost=2, instruments={"binance:BTCUSDT": {"expected": 10, "stored": 8, "lost": 2, "duplicates": 0}})


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> object:
    """Let entry points be those of this module, by name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("obflow.logs.configure", lambda settings: None)

    def use(checks: tuple[str, ...], audit: str | None = None) -> None:
        by_group = {
            doctor.CHECK_GROUP: [EntryPoint(name, f"{__name__}:{name}", doctor.CHECK_GROUP) for name in checks],
            doctor.AUDIT_GROUP: [EntryPoint("audit", f"{__name__}:{audit}", doctor.AUDIT_GROUP)] if audit else [],
        }
        monkeypatch.setattr(doctor, "entry_points", lambda group: by_group[group])

    return use


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class TestExamine:
    def test_a_check_that_breaks_is_a_finding_and_hides_no_other(self, install: object) -> None:
        install(("well", "breaks", "unreachable", "sick"))  # type: ignore[operator]
        findings = {finding.name: finding for finding in examine(Settings())}
        assert set(findings) == {"breaks", "sick", "unreachable", "well"}
        assert findings["unreachable"] == Check("unreachable", False, "no broker answers", "start one")
        assert findings["breaks"].detail == "the check itself failed: ZeroDivisionError: by zero"
        assert findings["well"].ok

    def test_a_check_whose_module_is_missing_is_a_finding(
        self, install: object, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        entry = EntryPoint("gone", "nowhere.checks:gone", doctor.CHECK_GROUP)
        monkeypatch.setattr(doctor, "entry_points", lambda group: [entry])
        (finding,) = examine(Settings())
        assert not finding.ok
        assert "No module named 'nowhere'" in finding.detail


class TestRuntime:
    def test_this_machine_is_fit(self, tmp_path: Path) -> None:
        findings = runtime_checks(Settings(cache=tmp_path / "new" / "cache"))
        assert [finding.name for finding in findings] == ["python", "packages", "cache folder", "open files"]
        assert [finding for finding in findings if finding.name != "open files" and not finding.ok] == []
        assert (tmp_path / "new" / "cache").is_dir()

    def test_a_missing_and_a_wrong_package_are_both_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wanted = ["no-such-package>=1", "orjson>=999", 'chdb==0; extra == "embedded"', "typer"]
        monkeypatch.setattr(doctor, "requires", lambda name: wanted)
        finding = doctor._packages()
        assert not finding.ok
        assert "no-such-package is missing; orjson is " in finding.detail
        assert finding.detail.endswith(", required >=999")
        assert "chdb" not in finding.detail

    def test_without_the_embedded_default_no_cache_folder_is_asked_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(doctor, "EMBEDDED_PACKAGE", "a_package_that_nobody_has")
        findings = runtime_checks(Settings(cache=tmp_path / "cache"))
        assert [finding.name for finding in findings] == ["python", "packages", "open files"]
        assert not (tmp_path / "cache").exists()

    def test_a_cache_folder_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        finding = doctor._cache_folder(Settings(cache=tmp_path / "file" / "cache"))
        assert not finding.ok
        assert "Not a directory" in finding.detail
        assert "OBFLOW_CACHE" in finding.remedy

    @pytest.mark.parametrize(("limit", "ok"), [(256, False), (1024, True), (resource.RLIM_INFINITY, True)])
    def test_too_few_open_files_are_named(self, monkeypatch: pytest.MonkeyPatch, limit: int, ok: bool) -> None:
        monkeypatch.setattr(resource, "getrlimit", lambda which: (limit, limit))
        finding = doctor._open_files()
        assert finding.ok == ok
        assert ("ulimit" in finding.remedy) != ok


class TestUnreachable:
    def test_without_a_broker_the_rest_is_unknown_not_well(self) -> None:
        address = f"127.0.0.1:{closed_port()}"
        findings = broker_checks(Settings(kafka=KafkaSettings(bootstrap_servers=address)))
        assert [finding.ok for finding in findings] == [False, False, False]
        assert address in findings[0].detail
        assert "`obflow kafka`" in findings[0].remedy

    def test_without_a_database_its_address_is_named(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        entry = EntryPoint("store", "obflow.doctor:store_checks", doctor.CHECK_GROUP)
        monkeypatch.setattr(doctor, "entry_points", lambda group: [entry])
        port = closed_port()
        (finding,) = examine(Settings(clickhouse=ClickHouseSettings(port=port)))
        assert not finding.ok
        assert f"127.0.0.1:{port}" in finding.detail
        assert finding.remedy


class TestAudit:
    def test_a_clean_one_has_no_problems(self) -> None:
        assert audit_problems(Found()) == []

    def test_an_empty_log_is_not_clean(self) -> None:
        assert audit_problems(Found(expected=0, stored=0, instruments={})) == ["the log holds no event to audit"]

    def test_each_instrument_is_judged_by_itself(self) -> None:
        instruments = {
            "b:Y": {"expected": 3, "stored": 3, "lost": 0, "duplicates": 4},
            "a:X": {"expected": 3, "stored": 2, "lost": 1, "duplicates": 0},
            "c:Z": {"expected": 0, "stored": 0, "lost": 0, "duplicates": 0},
            "d:W": {"expected": 1, "stored": 1, "lost": 0, "duplicates": 0},
        }
        assert audit_problems(Found(instruments=instruments)) == [
            "a:X: 1 lost",
            "b:Y: 4 duplicates",
            "c:Z: nothing expected",
        ]

    def test_what_no_instrument_holds_is_a_problem_of_the_trades(self) -> None:
        assert audit_problems(Found(lost=7, duplicates=4)) == ["trades: 7 lost", "trades: 4 duplicates"]

    @pytest.mark.parametrize(
        ("contents", "equal"),
        [
            (["equal", "equal"], True),
            (["equal", "different", "not comparable"], False),
            (["equal", "not comparable"], None),
            ([], None),
        ],
    )
    def test_only_instruments_that_all_compared_equal_are_called_equal(
        self, contents: list[str], equal: bool | None
    ) -> None:
        assert digests_equal({str(number): found for number, found in enumerate(contents)}) is equal

    def test_none_installed_is_said(self, install: object) -> None:
        install(())  # type: ignore[operator]
        with pytest.raises(DependencyError, match="no audit is installed"):
            doctor.audit(Settings())


class TestCommand:
    def test_a_finding_is_printed_with_its_remedy_and_fails(
        self, install: object, capsys: pytest.CaptureFixture[str]
    ) -> None:
        install(("well", "sick"))  # type: ignore[operator]
        assert cli.main(["doctor"]) == 1
        assert capsys.readouterr().out == "FAIL  sick  it has a cold: tea\nok    well  as it should be\n"

    def test_all_well_is_done(self, install: object, capsys: pytest.CaptureFixture[str]) -> None:
        install(("well",), "clean")  # type: ignore[operator]
        assert cli.main(["doctor", "--audit"]) == 0
        assert "ok    audit  expected 10, stored 10, lost 0, duplicates 0" in capsys.readouterr().out

    def test_a_loss_fails_and_names_the_instrument(self, install: object, capsys: pytest.CaptureFixture[str]) -> None:
        install(("well",), "dirty")  # type: ignore[operator]
        assert cli.main(["doctor", "--audit"]) == 1
        assert "FAIL  audit  expected 10, stored 10, lost 2, duplicates 0; binance:BTCUSDT: 2 lost" in (
            capsys.readouterr().out
        )

    def test_nobody_asked_for_digests_and_none_are_computed(
        self, install: object, capsys: pytest.CaptureFixture[str]
    ) -> None:
        install(("well",), "wrong")  # type: ignore[operator]
        assert cli.main(["doctor", "--audit", "--json"]) == 0
        assert "digests" not in json.loads(capsys.readouterr().out)["audit"]

    def test_different_numbers_fail_and_name_the_instrument(
        self, install: object, capsys: pytest.CaptureFixture[str]
    ) -> None:
        install(("well",), "wrong")  # type: ignore[operator]
        assert cli.main(["doctor", "--digests"]) == 1
        out = capsys.readouterr().out
        assert "duplicates 0, digests different 1, digests not comparable 1; binance:BTCUSDT: stored numbers" in out
        assert cli.main(["doctor", "--audit", "--digests", "--json"]) == 1
        audited = json.loads(capsys.readouterr().out)["audit"]
        assert audited["digests_equal"] is False
        assert audited["digests"] == {"binance:BTCUSDT": "different", "binance:ETHUSDT": "not comparable"}

    def test_equal_numbers_are_well(self, install: object, capsys: pytest.CaptureFixture[str]) -> None:
        install(("well",), "clean")  # type: ignore[operator]
        assert cli.main(["doctor", "--audit", "--digests"]) == 0
        assert "digests equal 1" in capsys.readouterr().out

    def test_json_holds_checks_and_audit(self, install: object, capsys: pytest.CaptureFixture[str]) -> None:
        install(("sick",), "dirty")  # type: ignore[operator]
        assert cli.main(["doctor", "--audit", "--json"]) == 1
        out = capsys.readouterr().out
        assert out.count("\n") == 1
        result = json.loads(out)
        assert result["ok"] is False
        assert result["checks"] == [{"name": "sick", "ok": False, "detail": "it has a cold", "remedy": "tea"}]
        assert result["audit"]["problems"] == ["binance:BTCUSDT: 2 lost"]
        assert result["audit"]["instruments"]["binance:BTCUSDT"]["lost"] == 2
