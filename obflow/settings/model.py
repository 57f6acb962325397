"""The settings of one process: the runtime's own sections, and those of whatever is installed beside it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from pydantic import Field, PrivateAttr, ValidationError, create_model
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from obflow.settings import sources
from obflow.settings.installed import installed_sections
from obflow.settings.kafka import KafkaSettings
from obflow.settings.reference import (
    ENV_DELIMITER,
    ENV_PREFIX,
    Leaf,
    SettingReference,
    as_variables,
    describe,
    leaves,
    printable,
)
from obflow.settings.sections import (
    ClickHouseSettings,
    LogSettings,
    MetricsSettings,
    StatusSettings,
    UserPath,
)
from schemas.errors import DependencyError

LISTED_LAST: Final = ("metrics", "status", "log")
"""Own sections that every role has; they are listed after the roles' sections."""

K = TypeVar("K")


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
    metrics: MetricsSettings = MetricsSettings()
    status: StatusSettings = StatusSettings()
    log: LogSettings = LogSettings()

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    def __new__(cls, *_args: object, **_values: object) -> Self:
        """Make one that has the installed sections, too: only their class has fields for them."""
        made: type[Any] = settings_class() if cls is Settings else cls
        settings: Self = super().__new__(made)
        return settings

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
            DependencyError: An installed section cannot be used.
        """
        made, known = settings_class(), _leaves()
        layers = (sources.from_file(config), sources.from_environment(made, known), sources.from_flags(overrides or {}))
        given = sources.merge(layers, known)
        try:
            settings = made(**sources.nested(given.values))
        except ValidationError as error:
            raise sources.unacceptable(error, given.origins, known) from None
        settings._origins = given.origins
        return settings

    def of(self, kind: type[K]) -> K:
        """The section of this class: how a role reads its own.

        Raises:
            DependencyError: No installed distribution declares it.
        """
        for name in type(self).model_fields:
            section = getattr(self, name)
            if isinstance(section, kind):
                return section
        raise DependencyError(
            f"no settings section is a {kind.__name__}", next_step="`make setup` installs what is missing"
        )

    def section(self, name: str, kind: type[K]) -> K:
        """The section of this name, whoever declares it, with at least the settings of `kind`.

        Args:
            name: As in `obflow.toml`.
            kind: A class, or a protocol that can be checked at run time.

        Raises:
            DependencyError: No installed distribution declares one that has them.
        """
        section = getattr(self, name, None) if name in type(self).model_fields else None
        if not isinstance(section, kind):
            raise DependencyError(
                f"there is no settings section {name} with what {kind.__name__} names",
                next_step="`make setup` installs what is missing",
            )
        return section

    def value(self, key: str) -> Any:  # noqa: ANN401 (whatever its class says)
        """One value by its dotted key, whoever declares it. Raises AttributeError where there is none."""
        value: object = self
        for part in key.split("."):
            value = getattr(value, part)
        return value

    def origins(self) -> dict[str, str]:
        """Where each value came from, by dotted key: a flag, a variable, a file or the default."""
        return {leaf.key: self._origins.get(leaf.key, "default") for leaf in _leaves()}

    def shown(self) -> dict[str, object]:
        """Every value by dotted key, fit to be printed: secrets are masked, and credentials in addresses."""
        return {leaf.key: printable(self.value(leaf.key)) for leaf in _leaves()}


@cache
def settings_class() -> type[Settings]:
    """Make the class that has a field for each section there is, once a process.

    Raises:
        DependencyError: An installed section cannot be used.
    """
    found = installed_sections()
    for name in found:
        if name in Settings.model_fields or hasattr(Settings, name):
            raise DependencyError(f"the settings section {name} cannot have this name: the runtime uses it")
    sections: dict[str, Any] = {name: (kind, kind()) for name, kind in found.items()}
    made = create_model("Settings", __base__=Settings, __doc__=Settings.__doc__, __module__=__name__, **sections)
    for name in LISTED_LAST:
        made.model_fields[name] = made.model_fields.pop(name)
    made.model_rebuild(force=True)  # in this order
    return made


@cache
def _leaves() -> tuple[Leaf, ...]:
    return tuple(leaves(settings_class()))


def reference() -> tuple[SettingReference, ...]:
    """Every setting there is, in the order of the classes."""
    return tuple(map(describe, _leaves()))


def reference_text() -> str:
    """The whole reference as a file of environment variables, each commented out at its default."""
    return as_variables(reference())


def json_schema() -> dict[str, Any]:
    """The JSON schema of `obflow.toml`."""
    return settings_class().model_json_schema()
