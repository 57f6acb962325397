"""Settings of TLS and logins: what is refused before anything starts, and what each client is told."""

from __future__ import annotations

import os
import ssl
import struct
from pathlib import Path

import pytest

from obflow import kafka_access
from obflow.broker_probe import Offer, read_offer
from obflow.cli import main
from obflow.settings import KafkaSettings, Settings
from obflow.settings.kafka_options import PROMISES, SETTINGS
from processors.worker.credentials import credentials_of
from schemas.errors import SettingsError
from tests.support.certificates import Authority

LOGIN = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "alice", "sasl_password": "hunter2"}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("OBFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def load(**kafka: object) -> KafkaSettings:
    return Settings.load({f"kafka.{name}": value for name, value in kafka.items()}).kafka


class TestRefusals:
    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"security_protocol": "sasl_ssl"}, "needs kafka.sasl_mechanism, kafka.sasl_username, kafka.sasl_password"),
            ({"security_protocol": "sasl_ssl", **LOGIN, "sasl_mechanism": None}, "needs kafka.sasl_mechanism"),
            ({"security_protocol": "sasl_plaintext", **LOGIN, "sasl_password": ""}, "needs kafka.sasl_password"),
            ({"sasl_username": "alice"}, r"kafka.sasl_username is set, and .* plaintext makes no use of it"),
            ({"security_protocol": "ssl", **LOGIN}, r"kafka.sasl_mechanism is set, and .* ssl makes no use of it"),
            ({"ssl_ca_file": "ca.pem"}, r"kafka.ssl_ca_file is set, and .* \(ssl or sasl_ssl does\)"),
            ({"security_protocol": "ssl", "ssl_key_file": "key"}, "kafka.ssl_certificate_file is not"),
            ({"security_protocol": "ssl", "ssl_certificate_file": "pem"}, "kafka.ssl_key_file is not"),
            ({"security_protocol": "ssl", "ssl_key_password": "x"}, "ssl_key_password is set, and kafka.ssl_key_file"),
            ({"security_protocol": "tls"}, "setting kafka.security_protocol is not acceptable"),
            ({"sasl_mechanism": "GSSAPI"}, "setting kafka.sasl_mechanism is not acceptable"),
        ],
    )
    def test_what_cannot_work_together_names_the_setting(self, given: dict[str, object], said: str) -> None:
        with pytest.raises(SettingsError, match=said) as caught:
            load(**given)
        assert caught.value.exit_code == 2
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"ca_file": "ca.pem"}, "clickhouse.ca_file is set, and clickhouse.secure is not"),
            ({"secure": True, "certificate_file": "pem"}, "clickhouse.key_file is not"),
            ({"secure": True, "verify": False, "ca_file": "ca.pem"}, "clickhouse.verify is false"),
        ],
    )
    def test_what_cannot_work_together_for_clickhouse_does_too(self, given: dict[str, object], said: str) -> None:
        with pytest.raises(SettingsError, match=said):
            Settings.load({f"clickhouse.{name}": value for name, value in given.items()})

    @pytest.mark.parametrize("name", ["ssl_ca_file", "ssl_certificate_file", "ssl_key_file"])
    def test_a_file_that_is_not_there_is_named_with_its_setting(self, name: str, authority: Authority) -> None:
        own = authority.issue("client")
        files = {
            "ssl_ca_file": authority.certificate,
            "ssl_certificate_file": own.certificate,
            "ssl_key_file": own.key,
        }
        settings = load(security_protocol="ssl", **files | {name: "nowhere.pem"})
        for use in (credentials_of, lambda chosen: kafka_access.librdkafka(chosen, kafka_access.ONLY_OF_CONSUMERS)):
            with pytest.raises(SettingsError, match=rf"nowhere\.pem of kafka\.{name} cannot be read \(No such file"):
                use(settings)

    def test_a_key_with_another_password_or_of_another_certificate_is_refused(self, authority: Authority) -> None:
        locked, other = authority.issue("client", password="hunter2"), authority.issue("other")  # noqa: S106
        shown = {"security_protocol": "ssl", "ssl_certificate_file": locked.certificate}
        for wrong in ({}, {"ssl_key_password": "other"}):
            with pytest.raises(SettingsError, match=r"kafka\.ssl_certificate_file and kafka\.ssl_key_file cannot be"):
                kafka_access.tls_context(load(**shown, ssl_key_file=locked.key, **wrong))
        with pytest.raises(SettingsError, match="key values mismatch"):
            kafka_access.tls_context(load(**shown, ssl_key_file=other.key))
        assert kafka_access.tls_context(load(**shown, ssl_key_file=locked.key, ssl_key_password="hunter2"))  # noqa: S106

    def test_a_file_that_holds_no_certificate_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("not a certificate", "utf-8")
        with pytest.raises(SettingsError, match=r"ca\.pem of kafka\.ssl_ca_file cannot be used"):
            kafka_access.tls_context(load(security_protocol="ssl", ssl_ca_file="ca.pem"))


class TestOptions:
    @pytest.mark.parametrize("name", [*PROMISES, *SETTINGS])
    def test_one_that_carries_a_promise_or_has_a_setting_is_refused_with_the_reason(self, name: str) -> None:
        with pytest.raises(SettingsError, match=rf"kafka\.options .*{name} may not be given, since \w+") as caught:
            Settings.load({f"kafka.options.{name}": "hunter2"})
        assert caught.value.exit_code == 2
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize("name", ["security.protocol", "sasl.password", "ssl.key.pem", "https.ca.pem"])
    def test_one_that_says_how_the_broker_is_reached_is_refused(self, name: str) -> None:
        with pytest.raises(SettingsError, match=r"both clients have to be told: kafka\.security_protocol"):
            Settings.load({f"kafka.options.{name}": "hunter2"})

    @pytest.mark.parametrize("name", ["error_cb", "", "Acks", "a b", "x="])
    def test_what_is_no_name_of_an_option_is_refused(self, name: str) -> None:
        with pytest.raises(SettingsError, match="is no name of an option"):
            load(options={name: "1"})

    def test_they_may_be_given_by_a_file_a_variable_and_a_flag_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Path("obflow.toml").write_text('[kafka.options]\nsocket.keepalive.enable = true\n"a.b" = "file"\n', "utf-8")
        monkeypatch.setenv("OBFLOW_KAFKA__OPTIONS", '{"a.b": "variable", "c.d": 7}')
        settings = Settings.load({"kafka.options.c.d": "8"})
        assert settings.kafka.options == {"socket.keepalive.enable": "true", "a.b": "variable", "c.d": "8"}
        assert set(settings.origins()["kafka.options"].split(", ")) == {
            "file obflow.toml",
            "environment OBFLOW_KAFKA__OPTIONS",
            "flag",
        }
        shown = str(settings.shown()["kafka.options"])
        assert Settings.load({"kafka.options": shown}).kafka.options == settings.kafka.options

    @pytest.mark.advice('write it as {"NAME": "VALUE"}')
    def test_what_is_no_json_object_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for wrong in ("a=b", "[1]", "3"):
            with pytest.raises(SettingsError, match=r"kafka\.options is no JSON object: write it as"):
                Settings.load({"kafka.options": wrong})
        monkeypatch.setenv("OBFLOW_KAFKA__OPTIONS", "a=b")
        with pytest.raises(SettingsError, match="OBFLOW_KAFKA__OPTIONS is no JSON object: write it as"):
            Settings.load()
        monkeypatch.setenv("OBFLOW_KAFKA__OPTIONS", '{"a.b": "c"}')
        for _ in range(2):
            assert Settings.load().kafka.options == {"a.b": "c"}

    def test_each_kind_of_client_has_its_own(self) -> None:
        given = load(options='{"client.rack": "a", "batch.size": 9, "fetch.min.bytes": 9}')
        assert {"client.rack", "batch.size"} < kafka_access.librdkafka(given, kafka_access.ONLY_OF_CONSUMERS).keys()
        assert {"client.rack", "fetch.min.bytes"} < kafka_access.librdkafka(
            given, kafka_access.ONLY_OF_PRODUCERS
        ).keys()
        assert "fetch.min.bytes" not in kafka_access.librdkafka(given, kafka_access.ONLY_OF_CONSUMERS)
        assert "batch.size" not in kafka_access.librdkafka(given, kafka_access.ONLY_OF_PRODUCERS)


class TestBothClients:
    """What one is told, the other is told."""

    def test_a_login_with_tls(self, authority: Authority) -> None:
        settings = load(security_protocol="SASL_SSL", ssl_ca_file=authority.certificate, **LOGIN)
        told, faust = kafka_access.librdkafka(settings, kafka_access.ONLY_OF_CONSUMERS), credentials_of(settings)
        assert told["security.protocol"] == faust.protocol.value.lower() == "sasl_ssl"
        assert told["sasl.mechanism"] == faust.mechanism.value == "SCRAM-SHA-512"
        assert (
            (told["sasl.username"], told["sasl.password"]) == (faust.username, faust.password) == ("alice", "hunter2")
        )
        assert told["ssl.ca.location"] == str(authority.certificate)
        assert [one["subject"] for one in faust.ssl_context.get_ca_certs()] == [((("commonName", "authority"),),)]

    @pytest.mark.parametrize(("checks", "told"), [(True, "https"), (False, "none")])
    def test_whether_the_host_is_checked(self, checks: bool, told: str) -> None:
        settings = load(security_protocol="ssl", ssl_check_hostname=checks)
        options, context = (
            kafka_access.librdkafka(settings, kafka_access.ONLY_OF_CONSUMERS),
            credentials_of(settings).context,
        )
        assert options["ssl.endpoint.identification.algorithm"] == told
        assert (context.check_hostname, context.verify_mode) == (checks, ssl.CERT_REQUIRED)

    def test_the_system_s_authorities(self, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        settings = load(security_protocol="ssl")
        told = kafka_access.librdkafka(settings, kafka_access.ONLY_OF_CONSUMERS)["ssl.ca.location"]
        assert told == str(authority.certificate)
        found = credentials_of(settings).context.get_ca_certs()
        assert ((("commonName", "authority"),),) in [one["subject"] for one in found]

    def test_nothing_where_nothing_is_set(self) -> None:
        assert kafka_access.librdkafka(load(), kafka_access.ONLY_OF_CONSUMERS) == {
            "bootstrap.servers": "127.0.0.1:9092"
        }
        assert credentials_of(load()) is None


class TestOffer:
    """What a broker says to somebody who asks for a login, as it lies on the wire."""

    ANSWER = bytes.fromhex("00000019 00006f62 0021 00000001 000d") + b"SCRAM-SHA-256"

    def test_it_names_the_error_and_the_mechanisms(self) -> None:
        assert read_offer(self.ANSWER) == Offer(33, ("SCRAM-SHA-256",))

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            bytes.fromhex("15030300020250"),  # an alert of TLS
            ANSWER[:-1],
            ANSWER.replace(b"\x6f\x62", b"\x6f\x63"),
            ANSWER.replace(b"\x00\x0d", b"\x7f\xff"),
        ],
    )
    def test_whatever_else_answers_there_is_taken_for_none(self, answer: bytes) -> None:
        with pytest.raises((ValueError, struct.error)):
            read_offer(answer)


class TestShown:
    def test_passwords_are_masked_and_may_come_from_files(self, capsys: pytest.CaptureFixture[str]) -> None:
        Path("password").write_text("hunter2\n", "utf-8")
        words = {"security_protocol": "sasl_ssl", **LOGIN, "sasl_password_file": "password"}
        del words["sasl_password"]
        flags = [f"--set=kafka.{name}={value}" for name, value in words.items()]
        assert main(["settings", "--origin", *flags]) == 0
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert ["kafka.sasl_password", "**********", "(file", "password)"] in lines
        assert load(**words).sasl_password.get_secret_value() == "hunter2"
        with pytest.raises(SettingsError, match="keep one of them"):
            load(**words, sasl_password="hunter2")  # noqa: S106
