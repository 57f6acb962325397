"""A real broker with TLS and logins, settings that reach it, and roles that are started with them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from embedded.kafka import EmbeddedKafka
from embedded.kafka_security import BrokerSecurity
from obflow.settings import Settings
from tests.integration.processing import OBFLOW
from tests.support.certificates import Authority, Issued
from tests.support.patience import patient
from tests.support.servers import started

USER, PASSWORD, WRONG = "alice", "Secret1", "another"  # of a broker that lives as long as the tests


class Secured(NamedTuple):
    """A running broker and who vouches for it.

    Attributes:
        broker: With a plain listener, as every embedded one, and three that are not.
        authority: Signed the broker's certificate, and those of clients that it lets in.
        client: A certificate for a client; its key has the password PASSWORD.
        stranger: An authority that nobody has heard of.
        folder: Where files may be written.
    """

    broker: EmbeddedKafka
    authority: Authority
    client: Issued
    stranger: Authority
    folder: Path

    def reach(self, protocol: str, mechanism: str = "SCRAM-SHA-512") -> dict[str, object]:
        """What has to be set to get in by this protocol, by dotted key."""
        reach: dict[str, object] = {
            "kafka.bootstrap_servers": self.broker.secured[protocol.upper()],
            "kafka.security_protocol": protocol,
        }
        if "ssl" in protocol:
            reach["kafka.ssl_ca_file"] = str(self.authority.certificate)
        if protocol == "ssl":
            key = {"kafka.ssl_key_file": str(self.client.key), "kafka.ssl_key_password": PASSWORD}
            reach |= {"kafka.ssl_certificate_file": str(self.client.certificate), **key}
        if "sasl" in protocol:
            user = {"kafka.sasl_username": USER, "kafka.sasl_password": PASSWORD}
            reach |= {"kafka.sasl_mechanism": mechanism, **user}
        return reach

    def settings(self, protocol: str, mechanism: str = "SCRAM-SHA-512", **changed: object) -> Settings:
        """Settings that get in, but for what is changed; None takes a setting out."""
        given = self.reach(protocol, mechanism) | {f"kafka.{name}": value for name, value in changed.items()}
        return Settings.load({name: value for name, value in given.items() if value is not None})


@contextmanager
def secured_broker(folder: Path) -> Iterator[Secured]:
    """Start one, with certificates of its own."""
    authority = Authority(folder)
    shown = authority.issue("broker")
    security = BrokerSecurity(shown.whole, authority.certificate, {USER: PASSWORD})
    client = authority.issue("client", password=PASSWORD)
    with started(EmbeddedKafka(security=security)) as broker:
        yield Secured(broker, authority, client, Authority(folder, "stranger"), folder)


class Role:
    """One command of obflow as a child, given its settings by a file, as a deployment would.

    Args:
        words: All that follows `obflow` but `--config`.
        settings: By dotted key.
        file: Where they are written; what it says lies beside it.
    """

    def __init__(self, words: Sequence[str], settings: Mapping[str, object], file: Path) -> None:
        file.write_text("".join(f"{key} = {toml(value)}\n" for key, value in settings.items()), "utf-8")
        line = [*OBFLOW, *words, "--config", str(file)]
        self._err = file.with_suffix(".err")
        with self._err.open("wb") as errors:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=dict(os.environ)
            )

    def wait(self, seconds: float = 60.0) -> tuple[int, str, list[str]]:
        """Its exit code, what it printed, and its sentences: lines that are no line of the log."""
        try:
            out, _ = self._process.communicate(timeout=seconds)
        finally:
            self._process.kill()
        sentences = [line for line in self.said().splitlines() if not line.startswith("{")]
        return self._process.returncode, out.decode(), sentences

    def said(self) -> str:
        """Its log and its sentences, so far."""
        return self._err.read_text("utf-8")

    def end(self) -> int:
        """SIGTERM, and SIGKILL where that does not end it; its exit code."""
        self._process.terminate()
        try:
            self._process.communicate(timeout=patient(20))
        finally:
            self._process.kill()
        return self._process.returncode


def toml(value: Any) -> str:
    """A number, a truth or a text as TOML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else f'"{value}"'
