"""The embedded servers stand where the settings let clients look for them."""

from __future__ import annotations

import pytest

from embedded import clickhouse_server, commands, kafka
from embedded.own_port import broker_port, engine_port
from obflow.settings import Settings
from schemas.errors import UsageError


@pytest.mark.parametrize(
    ("servers", "port"),
    [
        ("localhost", 9092),
        ("127.0.0.1:9095", 9095),
        ("localhost:19092", 19092),
        ("[::1]:9093", 9093),
        ("127.0.0.1:9094,other:1", 9094),
    ],
)
def test_the_broker_s_port_is_the_one_that_clients_look_for(servers: str, port: int) -> None:
    assert broker_port(Settings.load({"kafka.bootstrap_servers": servers})) == port


def test_the_engine_s_port_is_the_one_that_clients_look_for() -> None:
    assert engine_port(Settings.load({"clickhouse.port": "18123", "clickhouse.host": "localhost"})) == 18123


def test_settings_of_another_machine_s_servers_are_refused() -> None:
    with pytest.raises(UsageError, match=r"at broker, as kafka\.bootstrap_servers says"):
        broker_port(Settings.load({"kafka.bootstrap_servers": "broker:9092"}))
    with pytest.raises(UsageError, match=r"at store, as clickhouse\.host says"):
        engine_port(Settings.load({"clickhouse.host": "store"}))


def test_a_flag_goes_before_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    class Seen(Exception):
        pass

    def see(*_: object, port: int, **__: object) -> None:
        raise Seen(port)

    monkeypatch.setenv("OBFLOW_CLICKHOUSE__PORT", "18123")
    monkeypatch.setenv("OBFLOW_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:19092")
    monkeypatch.setattr(kafka, "EmbeddedKafka", see)
    monkeypatch.setattr(clickhouse_server, "serve", see)
    told = []
    for command in (commands.kafka, commands.clickhouse):
        for flag in (None, 0, 7):
            with pytest.raises(Seen) as seen:
                command(port=flag)
            told.append(seen.value.args[0])
    assert told == [19092, 0, 7, 18123, 0, 7]
