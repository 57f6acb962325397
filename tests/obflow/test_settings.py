"""Settings: precedence, origins, refusals."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from obflow.cli import main
from obflow.settings import Section, Settings, json_schema, reference, reference_text
from schemas.errors import SettingsError


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable or file of the surroundings decides a test."""
    for name in list(os.environ):
        if name.startswith("OBFLOW_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write(text: str, path: Path = Path("obflow.toml")) -> Path:
    path.write_text(text)
    return path


class TestPrecedence:
    def test_defaults_hold_where_nothing_is_said(self) -> None:
        settings = Settings.load()
        assert settings == Settings()
        assert settings.kafka.partitions == 24
        assert set(settings.origins().values()) == {"default"}

    def test_the_file_beats_the_default(self) -> None:
        write("[kafka]\npartitions = 8\n")
        settings = Settings.load()
        assert settings.kafka.partitions == 8
        assert settings.origins()["kafka.partitions"] == "file obflow.toml"

    def test_the_environment_beats_the_file_setting_by_setting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        write("[kafka]\npartitions = 8\ntopic_prefix = 'a.'\n")
        monkeypatch.setenv("OBFLOW_KAFKA__PARTITIONS", "12")
        settings = Settings.load()
        assert (settings.kafka.partitions, settings.kafka.topic_prefix) == (12, "a.")
        assert settings.origins()["kafka.partitions"] == "environment OBFLOW_KAFKA__PARTITIONS"

    def test_a_flag_beats_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        write("[kafka]\npartitions = 8\n")
        monkeypatch.setenv("OBFLOW_KAFKA__PARTITIONS", "12")
        settings = Settings.load({"kafka.partitions": 3})
        assert settings.kafka.partitions == 3
        assert settings.origins()["kafka.partitions"] == "flag"

    def test_a_flag_that_was_not_given_changes_nothing(self) -> None:
        assert Settings.load({"kafka.partitions": None}) == Settings()

    def test_an_empty_variable_is_one_that_is_not_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OBFLOW_KAFKA__PARTITIONS", "")
        assert Settings.load().kafka.partitions == 24

    def test_a_named_file_is_read_from_anywhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write("[log]\nlevel = 'debug'\n", tmp_path / "other.toml")
        assert Settings.load(config=path).log.level == "debug"
        monkeypatch.setenv("OBFLOW_CONFIG", str(path))
        assert Settings.load().log.level == "debug"

    def test_the_cache_folder_is_one_variable_without_a_section(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OBFLOW_CACHE", "~/elsewhere")
        assert Settings.load().cache == Path("~/elsewhere").expanduser()
        assert Settings().cache.is_absolute()

    def test_a_folder_of_a_section_may_be_in_the_users_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert Settings.load({"producer.shared_gate_folder": ""}).value("producer.shared_gate_folder") == ""
        monkeypatch.setenv("OBFLOW_PRODUCER__SHARED_GATE_FOLDER", "~/gates")
        assert Settings.load().value("producer.shared_gate_folder") == str(Path("~/gates").expanduser())


class TestRefusals:
    def test_an_unknown_key_of_the_file_names_the_nearest(self) -> None:
        write("[kafka]\nbootstrap_server = 'x:1'\n")
        with pytest.raises(SettingsError, match=r"kafka\.bootstrap_server .*did you mean kafka\.bootstrap_servers\?"):
            Settings.load()

    def test_an_unknown_section_of_the_file_names_the_nearest(self) -> None:
        write("[kafak]\npartitions = 3\n")
        with pytest.raises(SettingsError, match=r"did you mean kafka\.partitions\?"):
            Settings.load()

    @pytest.mark.parametrize(
        ("variable", "meant"),
        [
            ("OBFLOW_KAFKA__BOOTSTRAP_SERVER", "OBFLOW_KAFKA__BOOTSTRAP_SERVERS"),
            ("OBFLOW_KAFAK__PARTITIONS", "OBFLOW_KAFKA__PARTITIONS"),
            ("OBFLOW_KAFKA_PARTITIONS", "OBFLOW_KAFKA__PARTITIONS"),
            ("obflow_log_level", "OBFLOW_LOG__LEVEL"),
        ],
    )
    def test_a_misspelt_variable_names_the_nearest(
        self, monkeypatch: pytest.MonkeyPatch, variable: str, meant: str
    ) -> None:
        monkeypatch.setenv(variable, "3")
        with pytest.raises(SettingsError, match=f"did you mean {meant}"):
            Settings.load()

    @pytest.mark.parametrize(
        "variable", ["OBFLOW_RECORDINGS", "OBFLOW_CASES", "OBFLOW_CACHE", "OBFLOW_CONFIG", "OBFLOW_IMAGE"]
    )
    def test_variables_of_tools_around_it_are_left_alone(
        self, monkeypatch: pytest.MonkeyPatch, variable: str, tmp_path: Path
    ) -> None:
        write("", tmp_path / "empty")
        monkeypatch.setenv(variable, str(tmp_path / "empty"))
        Settings.load()

    def test_an_unknown_flag_names_the_nearest(self) -> None:
        with pytest.raises(SettingsError, match=r"from flag.*did you mean sink\.flush_rows\?"):
            Settings.load({"sink.flush_row": 1})

    def test_a_name_like_no_other_points_at_the_list(self) -> None:
        with pytest.raises(SettingsError, match="`obflow settings` lists them all"):
            Settings.load({"zzzz": 1})

    def test_a_bad_value_says_which_what_and_from_where(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OBFLOW_KAFKA__PARTITIONS", "0")
        with pytest.raises(SettingsError, match=r"kafka\.partitions .*greater than or equal to 1 \(got '0', from env"):
            Settings.load()

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("processor.thin_notional", 0),
            ("processor.thin_notional", "inf"),
            ("processor.checkpoint_seconds", "inf"),
            ("sink.max_buffered_rows", 500_001),
            ("sink.flush_rows", 500_001),
        ],
    )
    def test_a_value_that_a_role_could_not_work_with_is_refused_at_its_start(self, name: str, value: object) -> None:
        with pytest.raises(SettingsError, match=name):
            Settings.load({name: value})

    def test_a_section_given_as_a_value_is_refused(self) -> None:
        write("kafka = 3\n")
        with pytest.raises(SettingsError, match="unknown setting kafka"):
            Settings.load()

    def test_a_named_file_that_is_not_there_is_refused(self) -> None:
        with pytest.raises(SettingsError, match=r"missing\.toml cannot be read \(No such file"):
            Settings.load(config=Path("missing.toml"))

    def test_a_file_that_is_not_toml_says_where(self) -> None:
        write("[kafka\n")
        with pytest.raises(SettingsError, match=r"not TOML: mend this: .*line 1"):
            Settings.load()

    def test_a_file_that_nests_without_end_is_not_toml(self) -> None:
        write("a = " + "[" * 5_000)
        with pytest.raises(SettingsError, match="is not TOML"):
            Settings.load()

    def test_a_mark_of_utf8_before_a_file_is_no_part_of_it(self) -> None:
        Path("obflow.toml").write_bytes(b"\xef\xbb\xbf[kafka]\r\npartitions = 3\r\n")
        assert Settings.load().value("kafka.partitions") == 3

    @pytest.mark.parametrize("address", ["ftp://x", "127.0.0.1:1", "http://", "http://[::1", "http://a b", "ws://a:0"])
    def test_what_is_no_address_is_refused_before_anybody_asks_it(self, address: str) -> None:
        with pytest.raises(SettingsError, match=r"write it as http://HOST:PORT"):
            Settings.load({"producer.rest_url": address})
        with pytest.raises(SettingsError, match=r"write it as ws://HOST:PORT"):
            Settings.load({"producer.websocket_url": address})

    def test_every_refusal_is_one_line_and_exits_with_the_usage_code(self) -> None:
        with pytest.raises(SettingsError) as caught:
            Settings.load({"kafka.partitions": "many", "sink.flush_rows": 0})
        assert "\n" not in str(caught.value)
        assert "1 more after it" in str(caught.value)
        assert caught.value.exit_code == 2


class TestSecrets:
    def test_a_secret_is_masked_wherever_it_is_shown(self) -> None:
        settings = Settings.load({"clickhouse.password": "hunter2"})
        assert settings.clickhouse.password.get_secret_value() == "hunter2"
        assert "hunter2" not in repr(settings)
        assert settings.shown()["clickhouse.password"] == "**********"

    def test_credentials_in_an_address_are_masked_wherever_settings_are_shown(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        given = {
            "producer.rest_url": "http://user:hunter2@host:8080/v1",
            "producer.websocket_url": "wss://hunter2@host/ws?listenKey=hunter2",
            "regimes.base_url": "https://host/v1?api_key=hunter2",
            "kafka.bootstrap_servers": "a:9092,user:hunter2@b:9092",
            "clickhouse.host": "http://user:hunter2@host",
        }
        words = [word for key, value in given.items() for word in ("--set", f"{key}={value}")]
        for flags in ([], ["--json"], ["--origin"], ["--json", "--origin"]):
            assert main(["settings", *words, *flags]) == 0
            out = capsys.readouterr().out
            assert "hunter2" not in out
            assert out.count("**********") == len(given) + 1  # one address has two
        assert Settings.load(given).producer.rest_url == given["producer.rest_url"]

    def test_an_address_in_a_refused_value_is_masked(self) -> None:
        with pytest.raises(SettingsError) as caught:
            Settings.load({"kafka.partitions": "http://user:hunter2@host"})
        assert "hunter2" not in str(caught.value)

    def test_a_secret_is_read_from_a_file_without_its_last_line_break(self, tmp_path: Path) -> None:
        path = write("s3cret\n", tmp_path / "password")
        settings = Settings.load({"clickhouse.password_file": str(path)})
        assert settings.clickhouse.password == SecretStr("s3cret")
        assert settings.origins()["clickhouse.password"] == f"file {path}"

    def test_two_ways_to_give_one_secret_are_refused(self, tmp_path: Path) -> None:
        path = write("s3cret\n", tmp_path / "password")
        with pytest.raises(SettingsError, match="keep one of them"):
            Settings.load({"clickhouse.password_file": str(path), "clickhouse.password": "x"})

    def test_a_secret_file_that_is_not_there_is_refused(self) -> None:
        with pytest.raises(SettingsError, match=r"clickhouse\.password_file cannot be read"):
            Settings.load({"clickhouse.password_file": "nowhere"})

    def test_a_bad_secret_is_not_repeated_in_the_error(self) -> None:
        with pytest.raises(SettingsError) as caught:
            Settings.load({"clickhouse.password": ["hunter2"]})
        assert "hunter2" not in str(caught.value)


class TestReference:
    def test_every_setting_is_described_and_named_once(self) -> None:
        entries = reference()
        assert all(entry.description.endswith(".") for entry in entries)
        assert len({entry.env for entry in entries}) == len(entries)

    def test_a_unit_follows_from_the_last_word_of_the_name(self) -> None:
        by_key = {entry.key: entry for entry in reference()}
        assert by_key["kafka.request_timeout_seconds"].unit == "s"
        assert by_key["producer.max_frame_bytes"].unit == "bytes"
        assert by_key["kafka.partitions"].unit == ""

    def test_the_text_set_as_environment_is_the_defaults(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for line in reference_text().splitlines():
            if line.startswith("# OBFLOW_"):
                name, _, value = line.removeprefix("# ").partition("=")
                monkeypatch.setenv(name, value)
        settings = Settings.load()
        assert settings.model_dump() == Settings().model_dump()
        assert settings.origins()["sink.flush_rows"] == "environment OBFLOW_SINK__FLUSH_ROWS"

    def test_the_json_schema_knows_every_setting(self) -> None:
        schema = json_schema()
        names = {f"{section}" for section in schema["properties"]}
        assert {entry.key.partition(".")[0] for entry in reference()} == names
        fields = [field for definition in schema["$defs"].values() for field in definition["properties"].values()]
        assert all("description" in field for field in fields)

    def test_settings_cannot_be_changed_after_loading(self) -> None:
        settings = Settings.load()
        with pytest.raises(ValidationError):
            settings.kafka.partitions = 1
        assert all(
            issubclass(field.annotation, Section)
            for name, field in type(settings).model_fields.items()
            if name != "cache" and isinstance(field.annotation, type)
        )

    def test_sections_are_listed_the_way_a_record_goes(self) -> None:
        named = dict.fromkeys(entry.key.partition(".")[0] for entry in reference())
        roles = [
            "producer",
            "tardis",
            "relay",
            "deribit",
            "processor",
            "regimes",
            "fees",
            "signals",
            "anomalies",
            "levels",
            "staleness",
            "quotes",
            "arbitrage",
            "sink",
        ]
        assert list(named) == ["cache", "kafka", "clickhouse", *roles, "metrics", "status", "log"]
        assert list(json_schema()["properties"]) == list(named)


class TestCommand:
    @pytest.fixture(autouse=True)
    def _quiet(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("obflow.logs.configure", lambda settings: None)

    def test_it_prints_each_value_and_with_origin_where_it_came_from(self, capsys: pytest.CaptureFixture[str]) -> None:
        write("[clickhouse]\npassword = 'hunter2'\n")
        assert main(["settings", "--origin", "--set", "kafka.partitions=8"]) == 0
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert ["kafka.partitions", "8", "(flag)"] in lines
        assert ["clickhouse.password", "**********", "(file", "obflow.toml)"] in lines
        assert len(lines) == len(reference())

    def test_json_names_every_setting(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["settings", "--json", "--origin"]) == 0
        result = json.loads(capsys.readouterr().out)
        assert list(result) == [entry.key for entry in reference()]
        assert result["kafka.partitions"] == {"value": 24, "origin": "default"}

    def test_the_reference_and_the_schema_need_no_valid_settings(self, capsys: pytest.CaptureFixture[str]) -> None:
        write("[kafka]\npartitions = 0\n")
        assert main(["settings", "--env"]) == 0
        assert capsys.readouterr().out == reference_text()
        assert main(["settings", "--schema"]) == 0
        assert json.loads(capsys.readouterr().out) == json_schema()
