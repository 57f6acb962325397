"""Listeners of the embedded broker with TLS and with a login, beside the plain one: what a managed service has.

They are for trying the clients' settings against a real broker. Each listener has a port of its own:

    SSL             TLS, and a certificate of the client
    SASL_PLAINTEXT  a login
    SASL_SSL        TLS and a login

Users log in by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; nothing is forbidden to any of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

LISTENERS: Final = ("SSL", "SASL_PLAINTEXT", "SASL_SSL")
LOGINS: Final = ("SASL_PLAINTEXT", "SASL_SSL")
SCRAM: Final = ("SCRAM-SHA-256", "SCRAM-SHA-512")
MODULES: Final = "org.apache.kafka.common.security"


class BrokerSecurity(NamedTuple):
    """What the broker shows, whom it trusts, and who may log in.

    Attributes:
        keystore: The broker's key, its certificate and its chain, one PEM file.
        truststore: Authorities of the clients' certificates, PEM.
        users: Password of each user, of letters and digits.
    """

    keystore: Path
    truststore: Path
    users: Mapping[str, str]

    def properties(self) -> dict[str, str]:
        """The broker's configuration beyond names and ports of the listeners."""
        chosen = {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.keystore),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.truststore),
            "listener.name.ssl.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": ",".join(("PLAIN", *SCRAM)),
        }
        return chosen | dict(self._modules())

    def _modules(self) -> Iterator[tuple[str, str]]:
        users = " ".join(f'user_{name}="{password}"' for name, password in self.users.items())
        for listener in map(str.lower, LOGINS):
            yield (
                f"listener.name.{listener}.plain.sasl.jaas.config",
                f"{MODULES}.plain.PlainLoginModule required {users};",
            )
            for mechanism in map(str.lower, SCRAM):
                module = f"{MODULES}.scram.ScramLoginModule required;"
                yield f"listener.name.{listener}.{mechanism}.sasl.jaas.config", module

    def format_words(self) -> list[str]:
        """What the storage tool is told, so that a fresh data folder knows the users of SCRAM."""
        return [
            word
            for name, password in self.users.items()
            for mechanism in SCRAM
            for word in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
        ]
