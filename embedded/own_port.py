"""The port of an embedded server whose command is given none: where the settings let every client look for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from embedded.clickhouse_access import is_loopback
from schemas.errors import UsageError

if TYPE_CHECKING:
    from obflow.settings import Settings

USUAL_PORT: Final = "9092"
"""Clients take it for an address without one."""


def broker_port(settings: Settings) -> int:
    """The first port of `kafka.bootstrap_servers`. Raises UsageError where that is no address of this machine."""
    server = settings.kafka.bootstrap_servers.split(",")[0].strip()
    host, _, port = server.rpartition(":")
    if not port.isdecimal():
        host, port = server, USUAL_PORT
    return _own("kafka.bootstrap_servers", host, int(port))


def engine_port(settings: Settings) -> int:
    """The port `clickhouse.port`. Raises UsageError where `clickhouse.host` is no address of this machine."""
    return _own("clickhouse.host", settings.clickhouse.host, settings.clickhouse.port)


def _own(key: str, host: str, port: int) -> int:
    if not is_loopback(host.strip("[]")):
        raise UsageError(
            f"clients look for it at {host}, as {key} says, and it listens on this machine's loopback alone",
            next_step="give --port to start one beside that",
        )
    return port
