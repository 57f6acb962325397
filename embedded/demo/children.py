"""What the demo's roles are told in their environment: every setting the caller gave, and the demo's own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from embedded.demo.plan import DERIVED
from obflow.settings import CONFIG_VARIABLE, SECRET_FILE_SUFFIX, Settings, as_text, reference
from schemas.errors import UsageError

METRICS_PORT: Final = "OBFLOW_METRICS__PORT"
LAST_PORT: Final = 65_535
SAVING_OFTEN: Final = {
    f"OBFLOW_{section.upper()}__CHECKPOINT_SECONDS": "2" for section in ("processor", "regimes", *DERIVED)
}
"""Offsets wait for checkpoints, and the end of the demo for offsets. What the caller sets goes before it."""
OF_ONE_PROCESS: Final = ("log.", "metrics.")
"""Settings of a process rather than of the pipeline: a command beside the demo has its own."""
OF_OTHER_SERVERS: Final = (
    *("kafka.security_protocol", "kafka.sasl_", "kafka.ssl_"),
    *(
        "clickhouse.secure",
        "clickhouse.verify",
        "clickhouse.ca_file",
        "clickhouse.certificate_file",
        "clickhouse.key_file",
    ),
)
"""Settings of how the caller's own servers are reached: the demo's are plain, and on loopback."""

PLACED: Final = (
    "kafka.bootstrap_servers",
    "kafka.partitions",
    "kafka.topic_prefix",
    "clickhouse.host",
    "clickhouse.port",
    "clickhouse.database",
)
"""Settings that say where the demo's records and rows are."""


def environment(settings: Settings, own: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a child, secrets in clear.

    Args:
        settings: The caller's, as loaded.
        own: Variables of the demo, which go before the caller's.
    """
    # The settings file has been read by the demo itself; a child could find another one.
    unset = {entry.env: "" for entry in reference() if entry.key.startswith(OF_OTHER_SERVERS)}
    return {**SAVING_OFTEN, **os.environ, **_given(settings), **unset, **own, CONFIG_VARIABLE: os.devnull}


def shown(settings: Settings) -> dict[str, str]:
    """What a command beside the demo has to be told, fit to be printed: the pipeline's settings without secrets."""
    hidden = {
        entry.env
        for entry in reference()
        if entry.secret or entry.key.startswith(OF_ONE_PROCESS) or entry.key == "cache"
    }
    return {name: value for name, value in _given(settings).items() if name not in hidden}


def places(settings: Settings) -> dict[str, str]:
    """Variables that say where the demo's records and rows are."""
    shown = settings.shown()
    return {entry.env: str(shown[entry.key]) for entry in reference() if entry.key in PLACED}


def pointed(settings: Settings, bootstrap: str, host: str, port: int) -> Settings:
    """The settings with the demo's own broker and database, which are reached plainly."""
    broker = {"bootstrap_servers": bootstrap, "security_protocol": "plaintext"}
    engine = {"host": host, "port": port, "secure": False}
    return settings.model_copy(
        update={
            "kafka": settings.kafka.model_copy(update=broker),
            "clickhouse": settings.clickhouse.model_copy(update=engine),
        }
    )


def names_a_model(settings: Settings) -> bool:
    """Whether the caller's settings name a language model, or the way to one."""
    origins = settings.origins()
    return any(origins[f"regimes.{name}"] != "default" for name in ("base_url", "model", "api_key", "api_key_file"))


def metrics_ports(settings: Settings, names: tuple[str, ...]) -> dict[str, int]:
    """A port a role, counted up from `metrics.port`; 0 for all of them where none is set.

    Raises:
        UsageError: There are not as many ports after it.
    """
    first = settings.metrics.port
    if not first:
        return dict.fromkeys(names, 0)
    if first + len(names) - 1 > LAST_PORT:
        raise UsageError(
            f"metrics.port {first} leaves too few ports for the demo's {len(names)} roles, which count up from it",
            next_step=f"set it to {LAST_PORT + 1 - len(names)} at most",
        )
    return {name: first + number for number, name in enumerate(names)}


def _given(settings: Settings) -> dict[str, str]:
    """Variables that say again what a flag, the environment or a file said."""
    origins = settings.origins()
    told = (entry for entry in reference() if not entry.key.startswith(OF_OTHER_SERVERS))
    given = {entry.key: entry.env for entry in told if origins[entry.key] != "default"}
    variables = {}
    for key, variable in given.items():
        if key + SECRET_FILE_SUFFIX in given:  # the child reads the file itself; both would be refused
            continue
        variables[variable] = as_text(settings.value(key))
    return variables
