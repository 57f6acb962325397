"""Every setting of every role: one frozen class a concern, loaded once at the start and passed as an argument.

A value comes from the first of: a flag, the environment (`OBFLOW_<SECTION>__<NAME>`), `obflow.toml`, the default.
A key that none of the classes knows is refused with the nearest name, so a misspelt setting never falls silently back
to its default. To add a setting, add a field with a docstring to its class: the reference, the JSON schema, the
environment name and `obflow settings` follow from it. A field's unit is the last word of its name.

Here are the runtime's own sections. A role's are in its own `settings.py`, found through the entry-point group
`obflow.settings` (name of the section -> its class); `Settings.of` gives them to who knows the class.
"""

from __future__ import annotations

from obflow.settings.kafka import KafkaSettings
from obflow.settings.model import Settings, json_schema, reference, reference_text
from obflow.settings.reference import SettingReference, as_text, nearest
from obflow.settings.sections import (
    ClickHouseSettings,
    Count,
    HttpAddress,
    LogSettings,
    MetricsSettings,
    Port,
    Seconds,
    Section,
    UserPath,
    WebSocketAddress,
)
from obflow.settings.sources import CONFIG_VARIABLE, SECRET_FILE_SUFFIX

__all__ = [
    "CONFIG_VARIABLE",
    "SECRET_FILE_SUFFIX",
    "ClickHouseSettings",
    "Count",
    "HttpAddress",
    "KafkaSettings",
    "LogSettings",
    "MetricsSettings",
    "Port",
    "Seconds",
    "Section",
    "SettingReference",
    "Settings",
    "UserPath",
    "WebSocketAddress",
    "as_text",
    "json_schema",
    "nearest",
    "reference",
    "reference_text",
]
