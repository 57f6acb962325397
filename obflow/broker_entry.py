"""Going in at the broker, and why it does not let us: what it says of itself, and what it says to a login.

Whether user and password are right, only a client of the library can find out, by logging in. Every client that is made
here ends here: an error that is raised holds what is on its way, and a client that lives until the process ends, in the
midst of a handshake, ends it by a segmentation fault.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

from confluent_kafka import KafkaError, KafkaException

from obflow import broker_probe
from obflow.settings import KafkaSettings
from schemas.errors import BrokerRefused

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

FIRST_LOOK_SECONDS = 1.0
"""So long a broker may take to let us in before it is asked why it does not."""
PROBE_SECONDS: Final = 3.0
LEAST_SECONDS: Final = 0.1
OnError: TypeAlias = Callable[[KafkaError], None]
Make: TypeAlias = "Callable[[OnError | None], AdminClient]"


def enter(settings: KafkaSettings, make: Make, deadline: float) -> int | BrokerRefused | KafkaError:
    """How many brokers there are, or why we do not get in.

    Args:
        settings: How the broker is reached, and as whom.
        make: Makes a client that tells its errors to what it is given.
        deadline: Longest try, monotonic seconds.
    """
    client, look_s = make(None), FIRST_LOOK_SECONDS
    while True:
        try:
            return len(client.list_topics(timeout=min(look_s, _left_s(deadline))).brokers)
        except KafkaException as error:
            refused = why_refused(settings, make, _left_s(deadline))
            if refused is not None or time.monotonic() > deadline:
                return refused or error.args[0]
        time.sleep(LEAST_SECONDS)
        look_s *= 2


def why_refused(settings: KafkaSettings, make: Make, left_s: float) -> BrokerRefused | None:
    """What in the settings keeps us out of a broker that is there; None where nothing is found.

    Args:
        settings: How the broker is reached, and as whom.
        make: Makes a client that tells its errors to what it is given.
        left_s: Longest wait for each answer.
    """
    timeout_s = min(PROBE_SECONDS, left_s)
    return broker_probe.why_refused(settings, timeout_s) or _login_refused(settings, make, timeout_s)


def _login_refused(settings: KafkaSettings, make: Make, timeout_s: float) -> BrokerRefused | None:
    """Log in once more, and listen to what is said."""
    if not settings.logs_in:
        return None
    errors: list[KafkaError] = []
    client, deadline = make(errors.append), time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with suppress(KafkaException):
            client.list_topics(timeout=LEAST_SECONDS)
            return None
        client.poll(0)
        if any(error.code() == KafkaError._AUTHENTICATION for error in errors):
            return BrokerRefused(
                f"the Kafka broker at {settings.bootstrap_servers} refuses the login of {settings.sasl_username} "
                f"by {settings.sasl_mechanism}",
                next_step="check kafka.sasl_username and kafka.sasl_password (or sasl_password_file)",
            )
    return None


def _left_s(deadline: float) -> float:
    return max(deadline - time.monotonic(), LEAST_SECONDS)
