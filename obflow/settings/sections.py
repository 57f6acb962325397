"""What a section is, the types its values have, and the runtime's own sections (`kafka` has a file of its own)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

CONTRADICTION: Final = "contradiction"
"""Kind of the refusal that names several settings in its own words."""

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65535)]
UserPath = Annotated[Path, AfterValidator(Path.expanduser)]


def _address(text: str, *schemes: str) -> str:
    """Refuse what is no address: whoever asks it would wait for ever, as for a server that is away."""
    try:
        parts = urlsplit(text)
        is_one = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if text and (not is_one or not text.isprintable() or " " in text):
        raise PydanticCustomError("address", "write it as {scheme}://HOST:PORT", {"scheme": schemes[0]})
    return text


HttpAddress = Annotated[str, AfterValidator(lambda text: _address(text, "http", "https"))]
WebSocketAddress = Annotated[str, AfterValidator(lambda text: _address(text, "ws", "wss"))]
"""Addresses with their schemes; empty is none."""


class Section(BaseModel):
    """Base of one concern's settings: frozen, and closed to names it does not know. Each field has a default.

    Attributes:
        POSITION: Where it is listed among the sections of the roles, the smallest first; then by name.
        UNITS: Units by the last word of a field's name, beyond those of `obflow.settings.reference`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    POSITION: ClassVar[int] = 100
    UNITS: ClassVar[Mapping[str, str]] = {}


def contradiction(text: str) -> PydanticCustomError:
    """The refusal of settings that cannot work together.

    Args:
        text: Which and why, as a sentence without a full stop.
    """
    return PydanticCustomError(CONTRADICTION, "{text}", {"text": text})


def without_partner(name: str, value: object, partner: str, other: object) -> None:
    """Refuse one of two settings without the other. Raises PydanticCustomError."""
    if (value is None) != (other is None):
        given, lacking = (name, partner) if other is None else (partner, name)
        raise contradiction(f"{given} is set, and {lacking} is not: a certificate and its key go together")


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
    secure: bool = False
    """Whether it is reached by HTTPS, which most servers offer at port 8443."""
    verify: bool = True
    """Whether its certificate has to be one of an authority and name the host; false trusts whoever answers."""
    ca_file: UserPath | None = None
    """Authorities that may have signed its certificate (PEM); the system's own without it."""
    certificate_file: UserPath | None = None
    """Certificate shown to a server that asks for one (PEM); without a password it is the login, too."""
    key_file: UserPath | None = None
    """Key of that certificate (PEM), without a password of its own."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        without_partner("clickhouse.certificate_file", self.certificate_file, "clickhouse.key_file", self.key_file)
        for name in ("ca_file", "certificate_file"):
            if getattr(self, name) is not None and not self.secure:
                raise contradiction(f"clickhouse.{name} is set, and clickhouse.secure is not: it would not be used")
        if self.ca_file is not None and not self.verify:
            raise contradiction("clickhouse.ca_file is set, and clickhouse.verify is false: it would not be used")
        return self


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
