"""Kafka clients: one partitioner, readable errors, deadlines."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator

import pytest
from aiokafka.partitioner import DefaultPartitioner
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, Producer, TopicPartition

from obflow import broker_probe, kafka, kafka_logs
from obflow.kafka_errors import NOT_YET
from obflow.settings import KafkaSettings, Settings
from producers.settings import ProducerSettings
from schemas.errors import BrokerUnreachable, FatalError, TopicMismatch

# librdkafka's broker of its own process: real partitioner, real delivery reports, nothing installed or listening after.
MOCK = {"test.mock.num.brokers": 1, "log_level": 0}
KEYS = [f"venue-{number % 7}:SYMBOL-{number}".encode() for number in range(1000)]


def chosen_partitions(producer: Producer) -> tuple[dict[bytes, int], int]:
    """The partition each key's record was acknowledged in, and how many partitions there were to choose from."""
    partitions: dict[bytes, int] = {}

    def delivered(error: KafkaError | None, message: object) -> None:
        assert error is None
        partitions[message.key()] = message.partition()  # type: ignore[attr-defined]

    for key in KEYS:
        producer.produce("records", key=key, value=b"x", on_delivery=delivered)
    assert producer.flush(30) == 0
    return partitions, len(producer.list_topics("records", timeout=10).topics["records"].partitions)


def agreement(partitions: dict[bytes, int], count: int) -> int:
    numbers = list(range(count))
    choose = DefaultPartitioner()
    return sum(choose(key, numbers, numbers) == partition for key, partition in partitions.items())


def at(address: str, **more: float) -> Settings:
    return Settings(kafka=KafkaSettings.model_validate({"bootstrap_servers": address, **more}))


class TestProducer:
    def test_it_puts_1000_keys_where_the_workers_client_would(self) -> None:
        partitions, count = chosen_partitions(kafka.producer(Settings(), MOCK))
        assert count > 1
        assert len(partitions) == 1000
        assert agreement(partitions, count) == 1000

    def test_the_librarys_own_default_would_not(self) -> None:
        """What the setting is there for: without it most keys go elsewhere."""
        partitions, count = chosen_partitions(Producer({"bootstrap.servers": "unused", **MOCK}))
        assert agreement(partitions, count) < 500

    def test_the_partitioner_cannot_be_overridden(self) -> None:
        with pytest.raises(ValueError, match="partition depends on it"):
            kafka.producer(Settings(), {"partitioner": "random"})

    def test_its_queue_is_bounded_by_the_settings(self) -> None:
        producer = kafka.producer(
            Settings(producer=ProducerSettings(queue_messages=3)), {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}
        )
        for _ in range(3):
            producer.produce("records", value=b"x")
        with pytest.raises(BufferError):
            producer.produce("records", value=b"x")
        producer.purge()
        producer.flush(5)

    def test_an_unacknowledged_record_fails_within_the_delivery_timeout(self) -> None:
        settings = Settings(
            kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"),
            producer=ProducerSettings(delivery_timeout_seconds=0.2),
        )
        outcomes: Counter[str] = Counter()
        producer = kafka.producer(settings, {"log_level": 0})
        producer.produce("records", value=b"x", on_delivery=lambda error, _: outcomes.update([error.name()]))
        assert producer.flush(10) == 0
        assert outcomes == {"_MSG_TIMED_OUT": 1}


class TestConsumer:
    def test_it_reads_from_the_beginning_and_commits_nothing_by_itself(self) -> None:
        producer = kafka.producer(Settings(), MOCK)
        producer.produce("records", key=b"k", value=b"v")
        assert producer.flush(10) == 0
        brokers = producer.list_topics(timeout=10).brokers.values()
        consumer = kafka.consumer(at(",".join(f"{b.host}:{b.port}" for b in brokers)), "readers", {"log_level": 0})
        partitions = [
            TopicPartition("records", number) for number in producer.list_topics().topics["records"].partitions
        ]
        consumer.assign(partitions)
        try:
            message = next(m for _ in range(100) if (m := consumer.poll(0.1)) is not None)
            assert (message.key(), message.value(), message.offset()) == (b"k", b"v", 0)
            assert {item.offset for item in consumer.committed(partitions, timeout=5)} == {OFFSET_INVALID}
        finally:
            consumer.close()


class TestUnreachable:
    @pytest.fixture
    def silent(self) -> Iterator[str]:
        """An address that takes connections and never says a word."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            yield f"127.0.0.1:{server.getsockname()[1]}"

    @pytest.fixture
    def closed(self) -> str:
        with socket.create_server(("127.0.0.1", 0)) as server:
            return f"127.0.0.1:{server.getsockname()[1]}"

    def test_a_refused_connection_names_the_address_and_the_next_step(self, closed: str) -> None:
        with pytest.raises(BrokerUnreachable) as caught:
            kafka.require_broker(at(closed))
        assert str(caught.value) == (
            f"no Kafka broker answers at {closed} (Connection refused): "
            "start one with `obflow kafka` or `docker compose up`, or set kafka.bootstrap_servers"
        )
        assert caught.value.exit_code == 3

    def test_an_unknown_name_is_called_one(self) -> None:
        with pytest.raises(BrokerUnreachable, match=r"the name no-such-host\.invalid is not known"):
            kafka.require_broker(at("no-such-host.invalid:9092"))

    def test_a_port_beyond_all_ports_is_an_address_nobody_answers_at(self) -> None:
        with pytest.raises(BrokerUnreachable, match=r"127\.0\.0\.1:99999"):
            kafka.require_broker(at("127.0.0.1:99999"))

    def test_one_that_never_answers_is_given_up_on_at_the_deadline(self, silent: str) -> None:
        with pytest.raises(BrokerUnreachable, match=f"answers at {silent}"):
            kafka.require_broker(at(silent), deadline_seconds=0.3)

    def test_lookups_give_up_at_the_deadline_too(self, silent: str) -> None:
        settings = at(silent, request_timeout_seconds=0.3)
        with pytest.raises(BrokerUnreachable, match="no Kafka broker answers"):
            kafka_logs.topic_ids(settings, ["records"])
        with pytest.raises(BrokerUnreachable, match="no Kafka broker answers"):
            kafka_logs.end_offsets(settings, ["records"])
        with pytest.raises(BrokerUnreachable, match="no Kafka broker answers"):
            kafka_logs.committed_offsets(settings, "group", ["records"])

    def test_one_of_several_addresses_is_enough(self, closed: str) -> None:
        producer = kafka.producer(Settings(), MOCK)
        (broker,) = producer.list_topics(timeout=10).brokers.values()
        assert kafka.require_broker(at(f"{closed}, {broker.host}:{broker.port}"), deadline_seconds=10) == 1


class TestReadable:
    def test_a_missing_topic_points_at_topics_apply(self) -> None:
        error = kafka.readable(KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)), Settings())
        assert isinstance(error, TopicMismatch)
        assert "`obflow topics apply`" in str(error)

    @pytest.mark.parametrize("code", sorted(NOT_YET))
    def test_a_broker_that_is_not_ready_is_waited_for_and_no_refusal(self, code: int) -> None:
        """However long it takes: who was suspended meanwhile has no time left when it wakes, and must not end of it."""
        error = kafka.readable(KafkaException(KafkaError(code)), Settings())
        assert isinstance(error, BrokerUnreachable)
        assert "is not ready" in str(error)

    def test_any_other_refusal_keeps_the_brokers_words_on_one_line(self) -> None:
        error = kafka.readable(KafkaException(KafkaError(KafkaError.POLICY_VIOLATION, "too\nmany")), Settings())
        assert type(error) is FatalError
        assert "refused: too many" in str(error)

    @pytest.mark.parametrize(
        ("servers", "addresses"),
        [
            ("a:1,b:2", [("a", 1), ("b", 2)]),
            ("a", [("a", 9092)]),
            (" [::1]:9 ", [("::1", 9)]),
        ],
    )
    def test_addresses_are_read_as_the_library_reads_them(self, servers: str, addresses: list[tuple[str, int]]) -> None:
        assert broker_probe.addresses(servers) == addresses
