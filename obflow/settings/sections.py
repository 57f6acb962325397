"""What a section is, the types its values have, and the sections of the runtime itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65535)]
UserPath = Annotated[Path, AfterValidator(Path.expanduser)]


class Section(BaseModel):
    """Base of one concern's settings: frozen, and closed to names it does not know. Each field has a default.

    Attributes:
        POSITION: Where it is listed among the sections of the roles, the smallest first; then by name.
        UNITS: Units by the last word of a field's name, beyond those of `obflow.settings.reference`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    POSITION: ClassVar[int] = 100
    UNITS: ClassVar[Mapping[str, str]] = {}


class KafkaSettings(Section):
    """The broker, and how topics are laid out on it."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """Addresses of the brokers, host:port, separated by commas."""
    topic_prefix: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$")
    """Put before every topic's name, so that two pipelines share a broker without meeting."""
    partitions: Count = 24
    """Partitions of every topic; a change needs new topics, since it moves instruments."""
    replication_factor: Count = 1
    """Copies the broker keeps of every partition."""
    request_timeout_seconds: Seconds = 30.0
    """Longest wait for one answer of the broker."""


class ClickHouseSettings(Section):
    """The database, by its HTTP interface."""

    host: str = "127.0.0.1"
    """Host name or address."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8123
    """Port of the HTTP interface."""
    user: str = "default"
    """User name."""
    password: SecretStr = SecretStr("")
    """Password; better given by password_file, which leaves no trace in a process list."""
    password_file: UserPath | None = None
    """File that holds the password."""
    database: str = Field(default="obflow", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Database that holds the tables."""
    timeout_seconds: Seconds = 30.0
    """Longest wait for one answer."""


class MetricsSettings(Section):
    """The page a role serves to Prometheus."""

    port: Port = 0
    """Port of `/metrics`; 0 serves none."""
    host: str = "127.0.0.1"
    """Address it listens on."""


class StatusSettings(Section):
    """Where `obflow status` finds the roles."""

    pages: str = ""
    """Pages of roles elsewhere, host:port, separated by commas; a name with several addresses is each of them."""


class LogSettings(Section):
    """What is logged to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe level that is written."""
    format: Literal["auto", "json", "console"] = "auto"
    """`auto` writes for people on a terminal and JSON lines elsewhere."""
