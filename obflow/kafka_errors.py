"""What goes wrong with a broker, in words: it does not answer, it is not ready yet, it refuses."""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaError

from obflow.settings import Settings
from schemas.errors import BrokerUnreachable, FatalError, TopicMismatch

UNREACHABLE: Final = frozenset(
    {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError._RESOLVE}
)
NOT_YET: Final = frozenset(
    {
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_CONTROLLER,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError._NOENT,  # no partition has a leader: the broker goes, or has just come
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.FENCED_LEADER_EPOCH,  # a broker that has just come back, and a client that knows it otherwise
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.LISTENER_NOT_FOUND,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.PREFERRED_LEADER_NOT_AVAILABLE,
        KafkaError.ELIGIBLE_LEADERS_NOT_AVAILABLE,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
    }
)
"""What passes by itself, as Kafka's protocol says: a broker is starting, a partition has no leader for a moment."""


def worded(cause: KafkaError, settings: Settings) -> FatalError:
    """Turn what a broker or the client library says into an error with a next step."""
    if cause.code() in UNREACHABLE:
        return unreachable(settings, spoken(cause))
    if cause.code() in NOT_YET:  # longer than we wait, or we were suspended meanwhile: no refusal all the same
        return BrokerUnreachable(
            f"the Kafka broker at {settings.kafka.bootstrap_servers} is not ready: {spoken(cause)}",
            next_step="`obflow doctor` looks for the reason",
        )
    if cause.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
        return TopicMismatch(
            f"a topic is not on the broker at {settings.kafka.bootstrap_servers}",
            next_step="`obflow topics apply` creates what is missing",
        )
    return FatalError(
        f"the Kafka broker at {settings.kafka.bootstrap_servers} refused: {spoken(cause)}",
        next_step="`obflow doctor` looks for the reason",
    )


def unreachable(settings: Settings, why: str) -> BrokerUnreachable:
    """The one sentence for a broker that does not answer."""
    return BrokerUnreachable(
        f"no Kafka broker answers at {settings.kafka.bootstrap_servers} ({why})",
        next_step="start one with `obflow kafka` or `docker compose up`, or set kafka.bootstrap_servers",
    )


def spoken(error: KafkaError) -> str:
    """The words of an error on one line."""
    return " ".join(str(error.str()).split()).rstrip(".")
