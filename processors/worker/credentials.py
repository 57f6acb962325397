"""How a worker reaches the broker and as whom, in Faust's words: the same as every other client is told."""

from __future__ import annotations

from typing import Any

import faust

from obflow import kafka_access
from obflow.settings import KafkaSettings


def credentials_of(settings: KafkaSettings) -> Any | None:  # noqa: ANN401 (Faust's)
    """What Faust hands to aiokafka; None where the broker is reached without TLS and without a login.

    Args:
        settings: Of the broker.

    Raises:
        SettingsError: A file of theirs cannot be read.
    """
    context = kafka_access.tls_context(settings)
    if settings.logs_in:
        return faust.SASLCredentials(
            mechanism=settings.sasl_mechanism,
            username=settings.sasl_username,
            password=settings.sasl_password.get_secret_value(),
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context is not None else None
