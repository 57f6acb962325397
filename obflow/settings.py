"""Every setting of every role: one frozen class a concern, loaded once at the start and passed as an argument.

A value comes from the first of: a flag, the environment (`OBFLOW_<SECTION>__<NAME>`), `obflow.toml`, the default.
A key that none of the classes knows is refused with the nearest name, so a misspelt setting never falls silently back
to its default. To add a setting, add a field with a docstring to its class: the reference, the JSON schema, the
environment name and `obflow settings` follow from it. A field's unit is the last word of its name.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from schemas.errors import SettingsError
from schemas.masking import MASK, mask_credentials

ENV_PREFIX = "OBFLOW_"
ENV_DELIMITER = "__"
CONFIG_VARIABLE = "OBFLOW_CONFIG"
DEFAULT_CONFIG = Path("obflow.toml")
SECRET_FILE_SUFFIX = "_file"  # noqa: S105 (the ending of a setting's name)
UNITS = {
    "seconds": "s",
    "ms": "ms",
    "days": "days",
    "bytes": "bytes",
    "kbytes": "KiB",
    "rows": "rows",
    "records": "records",
    "messages": "messages",
    "notional": "quote currency",
    "windows": "windows of 5 s",
    "price": "USD per million tokens",
}

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Rows = Annotated[int, Field(ge=1, le=500_000)]  # with a poll on top still one atomic insert: the engine takes 1,048,449
Port = Annotated[int, Field(ge=0, le=65535)]
UserPath = Annotated[Path, AfterValidator(Path.expanduser)]


class Section(BaseModel):
    """Base of one concern's settings: frozen, and closed to names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


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


class ProducerSettings(Section):
    """Feeds and what they publish."""

    routine_snapshot_seconds: Seconds = 60.0
    """Received time between two snapshots of a book that is LIVE."""
    delta_buffer: Count = 10_000
    """Deltas held for one instrument while it waits for a snapshot; more than that is an overload."""
    max_frame_bytes: Count = 16 * 1024 * 1024
    """A larger frame is refused before it is parsed."""
    linger_ms: Annotated[int, Field(ge=0)] = 2
    """How long a record waits for others to share a batch."""
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "lz4"
    """Compression of batches on the wire and in the log."""
    queue_messages: Count = 200_000
    """Records waiting for the broker; a full queue is back-pressure, never a drop."""
    queue_kbytes: Count = 262_144
    """The same bound by size."""
    delivery_timeout_seconds: Seconds = 120.0
    """A record not acknowledged by then has failed."""
    stale_seconds: Seconds = 30.0
    """A book without a depth update for this long is reported as stale, whatever else its feed brings."""
    rest_url: str = ""
    """REST address of the exchange; empty is the venue's own."""
    websocket_url: str = ""
    """WebSocket address of the exchange; empty is the venue's own."""
    shared_gate_folder: str = ""
    """Where processes that share an address note the waits its venues told and the weight used; empty: not shared."""
    source: Literal["live", "replay", "simulator"] = "live"
    """Written into every record, so that simulated data is never taken for real."""


class ProcessorSettings(Section):
    """Workers that keep books and compute factors."""

    app_id: str = Field(default="obflow-processor", pattern=r"^[A-Za-z0-9._-]+$")
    """Name of the consumer group, and the start of its changelogs' names."""
    checkpoint_seconds: Seconds = 5.0
    """Time between two checkpoints of an instrument that receives records."""
    session_timeout_seconds: Seconds = 6.0
    """A worker silent for this long has died, and its partitions move."""
    heartbeat_seconds: Seconds = 2.0
    """Time between two signs of life to the broker."""
    watchdog_seconds: Seconds = 60.0
    """A worker whose lag grows while it processes nothing for this long ends itself."""
    engine: str = Field(default="reference", pattern=r"^[a-z][a-z0-9_-]*$")
    """Engine that computes the factors, by name."""
    thin_notional: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10_000.0
    """A book with less than this near its best prices has status THIN."""
    max_batch_records: Count = 2_000
    """Records of one partition handed over at once."""


class RegimeSettings(Section):
    """Regime workers: thresholds of the rules, and the language model beside them."""

    app_id: str = Field(default="obflow-regimes", pattern=r"^[A-Za-z0-9._-]+$")
    """Name of the consumer group, and the start of its changelog's name; else a worker is set up as a processor is."""
    checkpoint_seconds: Seconds = 5.0
    """Time between two checkpoints of an instrument that receives events."""
    half_life_windows: Annotated[float, Field(gt=0)] = 24.0
    """Half-life of the imbalance's mean and variance."""
    warmup_windows: Count = 6
    """Windows before there is a score."""
    history_windows: Annotated[int, Field(ge=1, le=10_000)] = 720
    """Past windows among which a window's variance is ranked."""
    sd_floor: Annotated[float, Field(gt=0)] = 0.02
    """Least standard deviation of the imbalance; keeps a flat book from giving huge scores."""
    direction_enter: Annotated[float, Field(gt=0)] = 1.0
    """Direction above which pressure begins, standard deviations."""
    direction_leave: Annotated[float, Field(ge=0)] = 0.5
    """Direction below which it ends; the gap between the two keeps labels from flickering."""
    volatile_enter: Annotated[float, Field(gt=0, le=1)] = 0.90
    """Percentile of the variance above which a window is volatile."""
    volatile_leave: Annotated[float, Field(ge=0, le=1)] = 0.80
    """Percentile below which it no longer is."""
    change_slack: Annotated[float, Field(ge=0)] = 1.0
    """Direction that adds nothing to the sum that tells of a change, standard deviations."""
    change_bar: Annotated[float, Field(gt=0)] = 6.0
    """Sum at which a change is told."""
    change_windows: Count = 2
    """Windows for which it is told."""
    dwell_seconds: Annotated[float, Field(ge=0)] = 5.0
    """Least time a label stays, by received time."""
    base_url: str = ""
    """OpenAI-compatible endpoint, as http://127.0.0.1:8000/v1; empty with a key set is OpenAI's own."""
    model: str = ""
    """Model to ask; has to be named where an endpoint or a key is set."""
    api_key: SecretStr = SecretStr("")
    """Key of the endpoint; better given by api_key_file, which is read anew before each request."""
    api_key_file: UserPath | None = None
    """File that holds the key."""
    deadline_seconds: Seconds = 10.0
    """Longest time from a question to its answer, all tries; a later answer is not published."""
    concurrency: Count = 4
    """Questions under way at once; each instrument has at most one."""
    requests_per_minute: Count = 120
    """Most requests sent in a minute."""
    input_price: Annotated[float, Field(ge=0)] | None = None
    """Price of a million input tokens, USD; without both prices no cost is computed."""
    output_price: Annotated[float, Field(ge=0)] | None = None
    """Price of a million output tokens, USD."""


class SinkSettings(Section):
    """Writers from topics into tables."""

    group: str = Field(default="obflow-sink", pattern=r"^[A-Za-z0-9._-]+$")
    """Consumer group that shows how far the tables are; nobody reads back what is committed to it."""
    flush_rows: Rows = 20_000
    """A batch of this size is written at once."""
    flush_seconds: Seconds = 1.0
    """A smaller batch is written after this time."""
    max_buffered_rows: Rows = 100_000
    """Rows held while the database does not answer; then reading pauses."""
    ttl_days: Annotated[int, Field(ge=0)] = 0
    """Age at which rows are deleted; 0 keeps them."""


class MetricsSettings(Section):
    """The page a role serves to Prometheus."""

    port: Port = 0
    """Port of `/metrics`; 0 serves none."""
    host: str = "127.0.0.1"
    """Address it listens on."""


class LogSettings(Section):
    """What is logged to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe level that is written."""
    format: Literal["auto", "json", "console"] = "auto"
    """`auto` writes for people on a terminal and JSON lines elsewhere."""


class SettingReference(NamedTuple):
    """What there is to know about one setting.

    Attributes:
        key: Dotted name, as in flags and as `[section] name` in `obflow.toml`.
        kind: Type, or the values it may take.
        unit: Unit of its number; empty where it has none.
        default: Default as it would be written in the environment.
        env: Name of its environment variable.
        description: One sentence or two.
        secret: Whether its value is masked wherever it is shown.
    """

    key: str
    kind: str
    unit: str
    default: str
    env: str
    description: str
    secret: bool


class Settings(BaseSettings):
    """All settings of one process.

    `Settings()` is the defaults alone; `Settings.load()` is what commands use.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter=ENV_DELIMITER,
        # Compose files pass on unset variables as empty ones.
        env_ignore_empty=True,
    )

    cache: UserPath = Field(default=Path("~/.cache/obflow"), validate_default=True)
    """Folder for what is downloaded once: the embedded broker's archives."""
    kafka: KafkaSettings = KafkaSettings()
    clickhouse: ClickHouseSettings = ClickHouseSettings()
    producer: ProducerSettings = ProducerSettings()
    processor: ProcessorSettings = ProcessorSettings()
    regimes: RegimeSettings = RegimeSettings()
    sink: SinkSettings = SinkSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Construct from arguments alone: `load` merges the sources, because it keeps where each value came from."""
        return (init_settings,)

    @classmethod
    def load(cls, overrides: Mapping[str, object] | None = None, config: Path | None = None) -> Settings:
        """Load from flags, environment, file and defaults, the first that names a setting deciding it.

        Args:
            overrides: Flags by dotted key (`kafka.partitions`); None stands for a flag that was not given.
            config: The TOML file; without it `OBFLOW_CONFIG`, else `obflow.toml` where the process started, if any.

        Raises:
            SettingsError: A key is unknown, a value not acceptable, or a file not readable.
        """
        values: dict[str, object] = {}
        origins: dict[str, str] = {}
        for layer, names in (_from_file(config), _from_environment(cls), _from_flags(overrides or {})):
            values.update(layer)
            origins.update(names)
        _refuse_unknown(values, origins)
        _read_secret_files(values, origins)
        try:
            settings = cls(**_nested(values))
        except ValidationError as error:
            raise _unacceptable(error, origins) from None
        settings._origins = origins
        return settings

    def origins(self) -> dict[str, str]:
        """Where each value came from, by dotted key: a flag, a variable, a file or the default."""
        return {entry.key: self._origins.get(entry.key, "default") for entry in reference()}

    def shown(self) -> dict[str, object]:
        """Every value by dotted key, fit to be printed: secrets are masked, and credentials in addresses."""
        return {entry.key: _printable(self._value(entry.key)) for entry in reference()}

    def _value(self, key: str) -> object:
        value: object = self
        for part in key.split("."):
            value = getattr(value, part)
        return value


def reference() -> tuple[SettingReference, ...]:
    """Every setting there is, in the order of the classes."""
    return tuple(_describe(key, field) for key, field in _fields())


def reference_text() -> str:
    """The whole reference as a file of environment variables, each commented out at its default."""
    blocks = []
    for entry in reference():
        unit = f", {entry.unit}" if entry.unit else ""
        blocks.append(f"# {entry.description} ({entry.kind}{unit})\n# {entry.env}={entry.default}\n")
    return "\n".join(blocks)


def nearest(name: str, known: list[str]) -> str:
    """The known name most like the given one, or an empty string where none is."""
    matches = get_close_matches(name, known, n=1, cutoff=0.5)
    return matches[0] if matches else ""


def _fields() -> Iterator[tuple[str, FieldInfo]]:
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            for inner, leaf in field.annotation.model_fields.items():
                yield f"{name}.{inner}", leaf
        else:
            yield name, field


def _describe(key: str, field: FieldInfo) -> SettingReference:
    return SettingReference(
        key=key,
        kind=_kind(field.annotation),
        unit=UNITS.get(key.rpartition("_")[2], ""),
        default=_as_text(field.default),
        env=_variable(key),
        description=" ".join((field.description or "").split()),
        secret=field.annotation is SecretStr,
    )


def _kind(annotation: object) -> str:
    if get_origin(annotation) is Literal:
        return "|".join(str(value) for value in get_args(annotation))
    inner = [part for part in get_args(annotation) if part is not type(None)]
    named = inner[0] if inner and get_origin(annotation) is not tuple else annotation
    named = get_args(named)[0] if get_origin(named) is Annotated else named
    return {"str": "text", "SecretStr": "secret", "Path": "path", "int": "integer", "float": "number"}.get(
        getattr(named, "__name__", str(named)), str(named)
    )


def _as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _printable(value: object) -> object:
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    if isinstance(value, str):
        return mask_credentials(value)
    return str(value) if isinstance(value, Path) else value


def _variable(key: str) -> str:
    return ENV_PREFIX + key.replace(".", ENV_DELIMITER).upper()


def _from_file(config: Path | None) -> tuple[dict[str, object], dict[str, str]]:
    named = config or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    path = named or DEFAULT_CONFIG
    if named is None and not path.is_file():
        return {}, {}
    try:
        values = _flat(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise SettingsError(
            f"the settings file {path} cannot be read ({error.strerror})", next_step="give --config another path"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"the settings file {path} is not TOML", next_step=f"mend this: {_in_sentence(error)}"
        ) from None
    return values, dict.fromkeys(values, f"file {path}")


def _from_environment(cls: type[Settings]) -> tuple[dict[str, object], dict[str, str]]:
    _refuse_stray_variables()  # one of them is a whole section as a value, which the source would take for JSON
    values = _flat(EnvSettingsSource(cls)())
    return values, {key: f"environment {_variable(key)}" for key in values}


def _from_flags(overrides: Mapping[str, object]) -> tuple[dict[str, object], dict[str, str]]:
    values = {key: value for key, value in overrides.items() if value is not None}
    return values, dict.fromkeys(values, "flag")


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


def _nested(flat: Mapping[str, object]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        section, _, name = key.rpartition(".")
        (nested.setdefault(section, {}) if section else nested)[name] = value
    return nested


def _refuse_unknown(values: Mapping[str, object], origins: Mapping[str, str]) -> None:
    known = [key for key, _ in _fields()]
    for key in values:
        if key not in known:
            raise SettingsError(f"unknown setting {key} (from {origins[key]})", next_step=_suggestion(key, known))


def _suggestion(name: str, known: list[str]) -> str:
    close = nearest(name, known)
    return f"did you mean {close}?" if close else "`obflow settings` lists them all"


def _refuse_stray_variables() -> None:
    """Refuse variables that look like settings but that the loader would pass over.

    Those are names with an unknown section (`OBFLOW_KAFAK__…`) and names with one underscore where two belong
    (`OBFLOW_KAFKA_…`). Other names beginning with OBFLOW_ belong to tools around the pipeline and are none of ours.
    """
    known = [_variable(key) for key, _ in _fields()]
    sections = {key.partition(".")[0].upper() for key, _ in _fields() if "." in key}
    for variable in os.environ:
        name = variable.upper()
        if not name.startswith(ENV_PREFIX) or name in known:
            continue
        rest = name.removeprefix(ENV_PREFIX)
        section = rest.split(ENV_DELIMITER)[0] if ENV_DELIMITER in rest else rest.partition("_")[0]
        if ENV_DELIMITER in rest or section in sections:
            raise SettingsError(f"unknown variable {variable} in the environment", next_step=_suggestion(name, known))


def _read_secret_files(values: dict[str, object], origins: dict[str, str]) -> None:
    for key, field in _fields():
        path = values.get(key + SECRET_FILE_SUFFIX)
        if field.annotation is not SecretStr or not path:
            continue
        if key in values:
            other = key + SECRET_FILE_SUFFIX
            raise SettingsError(
                f"both {key} ({origins[key]}) and {other} ({origins[other]}) are set", next_step="keep one of them"
            )
        file = Path(str(path)).expanduser()
        try:
            values[key] = file.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"the file {file} of {key}{SECRET_FILE_SUFFIX} cannot be read ({_in_sentence(error)})",
                next_step="check the path and its permissions",
            ) from None
        origins[key] = f"file {file}"


def _unacceptable(error: ValidationError, origins: Mapping[str, str]) -> SettingsError:
    first: ErrorDetails = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    field = next((leaf for name, leaf in _fields() if name == key), None)
    secret = field is not None and field.annotation is SecretStr
    got = "" if secret or field is None else f" (got {first['input']!r}, from {origins.get(key, 'default')})"
    text = first["msg"][:1].lower() + first["msg"][1:]
    others = f"; {error.error_count() - 1} more after it" if error.error_count() > 1 else ""
    return SettingsError(
        f"setting {key} is not acceptable: {text}{got}{others}",
        next_step="`obflow settings` lists them all and what each means",
    )


def _in_sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()).rstrip(".")
