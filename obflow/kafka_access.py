"""How the broker is reached and as whom: the settings in librdkafka's words, and the TLS context of every other client.

Both clients of the broker are told here. librdkafka is given names of files, aiokafka a context made of the same files
(`processors.worker.credentials` puts it into Faust's words), and both trust the same authorities: without `ssl_ca_file`
librdkafka is told where Python's own TLS finds the system's, since it would look elsewhere.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException

from obflow import tls
from obflow.settings import KafkaSettings
from schemas.errors import SettingsError

ONLY_OF_CONSUMERS: Final = re.compile(
    r"(fetch|queued|consume|session|heartbeat|max\.poll|max\.partition|partition\.assignment|coordinator|group)\..*"
)
ONLY_OF_PRODUCERS: Final = re.compile(
    r"(batch|queue\.buffering|queuing|compression|request\.timeout|transaction|delivery|dr)\..*|retry\.backoff\.ms"
)


def librdkafka(settings: KafkaSettings, left_out: re.Pattern[str]) -> dict[str, str]:
    """How to reach the broker, in librdkafka's options; what `kafka.options` adds comes first, and cannot replace it.

    Args:
        settings: How.
        left_out: Options of the other kind of client, or each client would warn that it has no use for them.

    Raises:
        SettingsError: A file cannot be read.
    """
    options = {name: value for name, value in settings.options.items() if not left_out.fullmatch(name)}
    options["bootstrap.servers"] = settings.bootstrap_servers
    if settings.security_protocol != "plaintext":
        options["security.protocol"] = settings.security_protocol
    return options | _login(settings) | _tls(settings)


@contextmanager
def acceptable_options() -> Iterator[None]:
    """Name what librdkafka does not take while a client is made; nothing else can fail before it connects.

    Raises:
        SettingsError: An option has no such name, or no such value.
    """
    try:
        yield
    except KafkaException as error:
        raise SettingsError(
            f"kafka.options do not suit librdkafka: {' '.join(error.args[0].str().split())}",
            next_step="its CONFIGURATION.md lists names and values",
        ) from None


def tls_context(settings: KafkaSettings) -> ssl.SSLContext | None:
    """What the other clients open their connections with; None where the broker is reached without TLS.

    Raises:
        SettingsError: A file cannot be read, or does not hold what it should.
    """
    if not settings.uses_tls:
        return None
    return tls.context_of(files_of(settings), check_hostname=settings.ssl_check_hostname)


def files_of(settings: KafkaSettings) -> tls.Files:
    """The files of the section, under the names of their settings."""
    return tls.Files(
        ("kafka.ssl_ca_file", settings.ssl_ca_file),
        ("kafka.ssl_certificate_file", settings.ssl_certificate_file),
        ("kafka.ssl_key_file", settings.ssl_key_file),
        settings.ssl_key_password.get_secret_value(),
    )


def _login(settings: KafkaSettings) -> dict[str, str]:
    if not settings.logs_in or settings.sasl_mechanism is None:
        return {}
    return {
        "sasl.mechanism": settings.sasl_mechanism,
        "sasl.username": settings.sasl_username,
        "sasl.password": settings.sasl_password.get_secret_value(),
    }


def _tls(settings: KafkaSettings) -> dict[str, str]:
    if not settings.uses_tls:
        return {}
    tls_context(settings)  # refuses, in words of ours, what librdkafka would refuse in its own
    options = {
        "ssl.ca.location": settings.ssl_ca_file or _system_authorities(),
        "ssl.certificate.location": settings.ssl_certificate_file,
        "ssl.key.location": settings.ssl_key_file,
        "ssl.key.password": settings.ssl_key_password.get_secret_value(),
        "ssl.endpoint.identification.algorithm": "https" if settings.ssl_check_hostname else "none",
    }
    return {name: str(value) for name, value in options.items() if value}


def _system_authorities() -> Path | None:
    """Where the system keeps its authorities, as Python's own TLS finds them (and `SSL_CERT_FILE` names them)."""
    paths = ssl.get_default_verify_paths()
    found = paths.cafile or paths.capath
    return Path(found) if found else None
