"""The one home of Kafka clients: built from settings, with one partitioner, deadlines, and errors people can read.

Producers and readers of the log use librdkafka, the processors' workers use aiokafka. The two put a key into the same
partition only if librdkafka is told to (`partitioner=murmur2_random`), which is why every producer is made here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from typing import Protocol, TypeVar, runtime_checkable

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from obflow import broker_entry, broker_probe, kafka_access
from obflow.kafka_errors import NOT_YET, UNREACHABLE, unreachable, worded
from obflow.settings import Settings
from schemas.errors import BrokerRefused, FatalError

PARTITIONER = "murmur2_random"
SESSION_TIMEOUT_MS = 10_000
# A book of tens of thousands of levels is a few hundred kilobytes; Kafka's own default is one megabyte.
MAX_RECORD_BYTES = 8 * 1024 * 1024
PROBE_SECONDS = 3.0
MIN_REQUEST_SECONDS = 0.1
NOT_YET_SECONDS = 0.1
CRITICAL_ONLY = 2  # librdkafka's log level: what an administrative call has to say, it says in its error
_LET_IN: set[tuple[str, ...]] = set()
"""Where this process has been let in before."""
_CLIENT_LOG = logging.getLogger("librdkafka")

K = TypeVar("K")
V = TypeVar("V")
Partition = tuple[str, int]


@runtime_checkable
class SendingSettings(Protocol):
    """What a producer reads of the section `producer`, whichever package declares it."""

    linger_ms: int
    compression: str
    queue_messages: int
    queue_kbytes: int
    delivery_timeout_seconds: float


def sending(settings: Settings) -> SendingSettings:
    """How every role's producers send. Raises DependencyError where no section says it."""
    return settings.section("producer", SendingSettings)  # type: ignore[type-abstract] # a protocol to hold it against


def producer(settings: Settings, overrides: Mapping[str, object] | None = None) -> Producer:
    """Make a producer: idempotent, acknowledged by all replicas, bounded, compressed, with the common partitioner.

    It does not connect; use `require_broker` first where a clear early failure is wanted.

    Args:
        settings: `kafka` and `producer` are used.
        overrides: librdkafka's own option names, over the settings.

    Raises:
        ValueError: The overrides would change the partitioner, and with it the partition of every key.
    """
    if overrides and "partitioner" in overrides:
        raise ValueError("the partitioner is the same everywhere: a key's partition depends on it")
    chosen = sending(settings)
    config: dict[str, object] = {
        "client.id": "obflow",
        **kafka_access.librdkafka(settings.kafka, left_out=kafka_access.ONLY_OF_CONSUMERS),
        "partitioner": PARTITIONER,
        "enable.idempotence": True,
        "acks": "all",
        "linger.ms": chosen.linger_ms,
        "compression.type": chosen.compression,
        "queue.buffering.max.messages": chosen.queue_messages,
        "queue.buffering.max.kbytes": chosen.queue_kbytes,
        "delivery.timeout.ms": round(chosen.delivery_timeout_seconds * 1000),
        "message.max.bytes": MAX_RECORD_BYTES,
        **(overrides or {}),
    }
    with kafka_access.acceptable_options():
        return Producer(config, logger=_CLIENT_LOG)


def consumer(settings: Settings, group: str, overrides: Mapping[str, object] | None = None) -> Consumer:
    """Make a consumer that starts at the log's beginning and commits only when told.

    Args:
        settings: `kafka` is used.
        group: Consumer group; also needed, though unused, by a reader that assigns partitions itself.
        overrides: librdkafka's own option names, over the settings.
    """
    config: dict[str, object] = {
        "client.id": "obflow",
        "session.timeout.ms": SESSION_TIMEOUT_MS,
        # The default of a second makes a fast reader idle each time 100,000 records are queued.
        "fetch.queue.backoff.ms": 10,
        **kafka_access.librdkafka(settings.kafka, left_out=kafka_access.ONLY_OF_PRODUCERS),
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        **(overrides or {}),
    }
    with kafka_access.acceptable_options():
        return Consumer(config, logger=_CLIENT_LOG)


def admin(settings: Settings, on_error: Callable[[KafkaError], None] | None = None) -> AdminClient:
    """Make a client for topics, offsets and groups.

    Args:
        settings: `kafka` is used.
        on_error: Told, whenever the client is polled, what keeps it from the broker.

    Raises:
        SettingsError: A file of the settings cannot be read, or librdkafka takes none of such options.
    """
    told = {} if on_error is None else {"error_cb": on_error}
    config: dict[str, object] = {
        "client.id": "obflow",
        **kafka_access.librdkafka(settings.kafka, left_out=kafka_access.ONLY_OF_CONSUMERS),
        "log_level": CRITICAL_ONLY,
        **told,
    }
    with kafka_access.acceptable_options():
        return AdminClient(config)


def require_broker(settings: Settings, *, deadline_seconds: float | None = None) -> int:
    """Make sure that a broker answers and lets us in.

    Args:
        settings: `kafka` is used.
        deadline_seconds: Longest wait; without it, the setting `kafka.request_timeout_seconds`.

    Returns:
        How many brokers there are.

    Raises:
        SettingsError: A file of the settings cannot be read, or an option is none of librdkafka's.
        BrokerUnreachable: None answers; says at which address and why.
        BrokerRefused: One is there, and something in the settings keeps us out; says what.
    """
    seconds = deadline_seconds or settings.kafka.request_timeout_seconds
    kafka_access.tls_context(settings.kafka)  # refuses what cannot be used before anything is sent
    places = broker_probe.addresses(settings.kafka.bootstrap_servers)
    refusals = [broker_probe.refusal(*place, min(PROBE_SECONDS, seconds)) for place in places]
    if all(refusals):
        raise unreachable(settings, refusals[0])
    found = broker_entry.enter(settings.kafka, partial(admin, settings), time.monotonic() + seconds)
    if isinstance(found, KafkaError):
        raise worded(found, settings)
    if isinstance(found, BrokerRefused):
        raise found
    _LET_IN.add(_entrance(settings))
    return found


def _go_in_first(settings: Settings) -> None:
    """Make sure, once a process, that the broker is there and lets us in: the library would only wait."""
    if _entrance(settings) not in _LET_IN:
        require_broker(settings)


def _left_s(deadline: float) -> float:
    return max(deadline - time.monotonic(), MIN_REQUEST_SECONDS)


def _entrance(settings: Settings) -> tuple[str, ...]:
    """Where somebody goes in, and as whom."""
    chosen = settings.kafka
    return chosen.bootstrap_servers, chosen.security_protocol, chosen.sasl_username


def ask(
    settings: Settings,
    call: Callable[[AdminClient, float], Mapping[K, Future[V]]],
    *,
    accepted: Collection[int] = (),
) -> dict[K, V]:
    """Make an administrative call and wait for each of its answers, within the deadline.

    Args:
        settings: `kafka` is used.
        call: Given a client and the seconds left, starts the call.
        accepted: Error codes that are no failure; their answers are left out.

    Raises:
        BrokerUnreachable: The broker does not answer.
        TopicMismatch: It knows no such topic.
        FatalError: It refuses.
    """
    _go_in_first(settings)  # before there is a client that an error would hold
    client = admin(settings)  # held until the answers are here: the library drops the calls of a client nobody holds
    return patiently(settings, lambda left: answers(call(client, left), left, accepted))


def patiently(settings: Settings, call: Callable[[float], V]) -> V:
    """Make a call, again while the broker says that it is still finding its feet, until the deadline.

    Args:
        settings: `kafka` is used.
        call: Given the seconds left, makes the call.

    Raises:
        BrokerUnreachable: The broker does not answer.
        TopicMismatch: It knows no such topic.
        FatalError: It refuses.
    """
    _go_in_first(settings)
    deadline = time.monotonic() + settings.kafka.request_timeout_seconds
    while True:
        try:
            return call(_left_s(deadline))
        except KafkaException as error:
            if error.args[0].code() not in NOT_YET or time.monotonic() > deadline:
                raise readable(error, settings) from None
        except FutureTimeoutError:
            raise unreachable(settings, f"no answer within {settings.kafka.request_timeout_seconds:g} s") from None
        time.sleep(NOT_YET_SECONDS)


def readable(error: KafkaException, settings: Settings) -> FatalError:
    """Turn what the client library raised into an error that says what to do.

    Where no broker answered, it is asked why: it may have begun to refuse us, as after a change of its password.
    """
    cause: KafkaError = error.args[0]
    if cause.code() not in UNREACHABLE:
        return worded(cause, settings)
    left_s = settings.kafka.request_timeout_seconds
    return broker_entry.why_refused(settings.kafka, partial(admin, settings), left_s) or worded(cause, settings)


def answers(futures: Mapping[K, Future[V]], seconds: float, accepted: Collection[int] = ()) -> dict[K, V]:
    """Wait for each answer of an administrative call, and leave out the errors that are accepted."""
    found = {}
    for key, future in futures.items():
        try:
            # The call has its own deadline; the second on top lets its own error come first.
            found[key] = future.result(seconds + 1)
        except KafkaException as error:
            if error.args[0].code() not in accepted:
                raise
    return found
