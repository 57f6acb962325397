"""The section `kafka`: the broker, how it is reached and as whom, and how topics are laid out on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from obflow.settings.kafka_options import as_option, refuse_options
from obflow.settings.sections import Count, Seconds, Section, UserPath, contradiction, without_partner
from obflow.settings.topic_options import refuse_topic_options

Protocol = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


class KafkaSettings(Section):
    """The broker, how it is reached, and how topics are laid out on it."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """Addresses of the brokers, host:port, separated by commas."""
    security_protocol: Annotated[Protocol, BeforeValidator(_lower)] = "plaintext"
    """How it is reached: `ssl` is TLS, `sasl_plaintext` a login without it, `sasl_ssl` both."""
    sasl_mechanism: Annotated[Mechanism, BeforeValidator(_upper)] | None = None
    """How the login is made."""
    sasl_username: str = ""
    """User that logs in."""
    sasl_password: SecretStr = SecretStr("")
    """Password; better given by sasl_password_file, which leaves no trace in a process list."""
    sasl_password_file: UserPath | None = None
    """File that holds the password."""
    ssl_ca_file: UserPath | None = None
    """Authorities that may have signed the broker's certificate (PEM); the system's own without it."""
    ssl_certificate_file: UserPath | None = None
    """Certificate shown to a broker that asks for one, and its chain (PEM)."""
    ssl_key_file: UserPath | None = None
    """Key of that certificate (PEM)."""
    ssl_key_password: SecretStr = SecretStr("")
    """Password of the key; better given by ssl_key_password_file."""
    ssl_key_password_file: UserPath | None = None
    """File that holds the key's password."""
    ssl_check_hostname: bool = True
    """Whether the broker's certificate has to name the host it is reached at."""
    options: Mapping[str, Annotated[str, BeforeValidator(as_option)]] = {}
    """Options of librdkafka by its own names, as JSON; those that carry a promise are refused. Workers read none."""
    topic_prefix: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$")
    """Put before every topic's name, so that two pipelines share a broker without meeting."""
    partitions: Count = 24
    """Partitions of every topic; a change needs new topics, since it moves instruments."""
    replication_factor: Count = 1
    """Copies the broker keeps of every partition."""
    topic_options: Mapping[str, Annotated[str, BeforeValidator(as_option)]] = {}
    """Options of topics, as JSON by TOPIC/OPTION or */OPTION: retention.ms, retention.bytes, segment.ms, segment.bytes,
    min.insync.replicas."""
    request_timeout_seconds: Seconds = 30.0
    """Longest wait for one answer of the broker."""
    outage_seconds: Seconds = 1800.0
    """A broker may be away for so long: producers of live feeds and workers keep what they could not send, then end."""

    @property
    def uses_tls(self) -> bool:
        """Whether what goes to the broker is encrypted."""
        return self.security_protocol in ("ssl", "sasl_ssl")

    @property
    def logs_in(self) -> bool:
        """Whether the broker is told a user and a password."""
        return self.security_protocol in ("sasl_plaintext", "sasl_ssl")

    @field_validator("options")
    @classmethod
    def _keeps_promises(cls, options: Mapping[str, str]) -> Mapping[str, str]:
        refuse_options(options)
        return options

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        self._require_login()
        self._refuse_unused()
        refuse_topic_options(self.topic_options, self.replication_factor)
        without_partner(
            "kafka.ssl_certificate_file", self.ssl_certificate_file, "kafka.ssl_key_file", self.ssl_key_file
        )
        if self.ssl_key_password.get_secret_value() and self.ssl_key_file is None:
            raise contradiction("kafka.ssl_key_password is set, and kafka.ssl_key_file is not")
        return self

    def _login(self) -> dict[str, object]:
        password = self.sasl_password.get_secret_value()
        return {"sasl_mechanism": self.sasl_mechanism, "sasl_username": self.sasl_username, "sasl_password": password}

    def _require_login(self) -> None:
        missing = [f"kafka.{name}" for name, value in self._login().items() if not value]
        if self.logs_in and missing:
            raise contradiction(f"kafka.security_protocol {self.security_protocol} needs {', '.join(missing)}")

    def _refuse_unused(self) -> None:
        """Refuse what would silently do nothing: whoever gives a password believes that it is used."""
        files = {name: getattr(self, name) for name in ("ssl_ca_file", "ssl_certificate_file", "ssl_key_file")}
        unused = {} if self.logs_in else self._login()
        unused |= {} if self.uses_tls else files
        for name in (name for name, value in unused.items() if value):
            wanted = "ssl or sasl_ssl" if name in files else "sasl_ssl or sasl_plaintext"
            raise contradiction(
                f"kafka.{name} is set, and kafka.security_protocol {self.security_protocol} makes no use of it "
                f"({wanted} does)"
            )
