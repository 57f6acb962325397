"""The embedded broker is a broker: it keeps what it acknowledged through restarts and kills, and leaves no trace."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from embedded import kafka
from embedded.kafka import EmbeddedKafka
from embedded.kafka_configuration import PROPERTIES
from schemas.errors import BrokerUnreachable, UsageError
from tests.integration.processes import alive
from tests.support.patience import patient
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration
DEADLINE_S = 20


def admin(bootstrap: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})


def create(bootstrap: str, *topics: str, partitions: int = 1, **config: str) -> None:
    client = admin(bootstrap)  # a client nobody holds any more cancels its answers
    for created in client.create_topics([NewTopic(topic, partitions, 1, config=config) for topic in topics]).values():
        created.result(patient(DEADLINE_S))


def send(bootstrap: str, topic: str, *values: bytes) -> None:
    failures: list[object] = []
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0, "acks": "all", "enable.idempotence": True})
    for value in values:
        producer.produce(
            topic, value, key=value[:9], partition=0, timestamp=1, on_delivery=lambda error, _: failures.append(error)
        )
    assert producer.flush(DEADLINE_S) == 0
    assert failures == [None] * len(values)


def read(bootstrap: str, topic: str, count: int) -> list[Message]:
    unused = {"group.id": "unused", "enable.auto.commit": False}
    consumer = Consumer({"bootstrap.servers": bootstrap, "log_level": 0, **unused})
    consumer.assign([TopicPartition(topic, 0, 0)])
    messages: list[Message] = []
    deadline = time.monotonic() + patient(DEADLINE_S)
    while len(messages) < count and time.monotonic() < deadline:
        messages += consumer.consume(count - len(messages), timeout=patient(1))
    consumer.close()
    return messages


@pytest.fixture(scope="module")
def expendable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A broker of this module's, which its tests stop and kill."""
    broker = EmbeddedKafka(tmp_path_factory.mktemp("broker") / "kafka")
    yield broker
    broker.stop()


@pytest.fixture
def own_broker(expendable: EmbeddedKafka) -> EmbeddedKafka:
    """A running broker that the test may stop and kill."""
    expendable.start()
    return expendable


def test_a_record_comes_back_with_the_brokers_own_time(broker: str) -> None:
    create(broker, "embedded-append-time")
    before_ms = time.time() * 1000
    send(broker, "embedded-append-time", b"old recording")
    (message,) = read(broker, "embedded-append-time", 1)
    kind, at_ms = message.timestamp()
    assert message.value() == b"old recording"
    assert kind == TIMESTAMP_LOG_APPEND_TIME
    assert before_ms - 5 <= at_ms <= time.time() * 1000 + 5


def test_a_topic_nobody_declared_is_refused(broker: str) -> None:
    # By default the client hopes for half a minute that somebody declares it.
    at_once = {"topic.metadata.propagation.max.ms": 0}
    producer = Producer({"bootstrap.servers": broker, "log_level": 0, **at_once})
    failures: list[str] = []
    producer.produce("embedded-undeclared", b"x", on_delivery=lambda error, _: failures.append(error.name()))
    producer.flush(DEADLINE_S)
    assert failures == ["UNKNOWN_TOPIC_OR_PART"]
    assert "embedded-undeclared" not in admin(broker).list_topics(timeout=DEADLINE_S).topics


@pytest.mark.exhaustive
def test_topics_of_24_partitions_take_little_disk(own_broker: EmbeddedKafka) -> None:
    def used() -> int:
        return sum(path.stat().st_blocks * 512 for path in own_broker.data.rglob("*") if path.is_file())

    before = used()
    names = [f"small-{letter}" for letter in "abcdef"]
    create(own_broker.bootstrap, *names, partitions=24)
    for name in names:
        send(own_broker.bootstrap, name, b"x" * 1000)
    assert used() - before < 20e6


@pytest.mark.exhaustive
def test_a_transaction_commits(broker: str) -> None:
    create(broker, "embedded-transaction")
    producer = Producer({"bootstrap.servers": broker, "log_level": 0, "transactional.id": "embedded"})
    producer.init_transactions(DEADLINE_S)
    producer.begin_transaction()
    producer.produce("embedded-transaction", b"x", partition=0)
    producer.commit_transaction(DEADLINE_S)
    assert [message.value() for message in read(broker, "embedded-transaction", 1)] == [b"x"]


@pytest.mark.exhaustive
def test_a_restart_is_the_same_cluster_with_the_same_records(own_broker: EmbeddedKafka) -> None:
    create(own_broker.bootstrap, "kept", partitions=24, **{"cleanup.policy": "compact"})
    send(own_broker.bootstrap, "kept", b"1", b"2")
    cluster = admin(own_broker.bootstrap).list_topics(timeout=DEADLINE_S).cluster_id

    own_broker.stop()
    own_broker.start()

    metadata = admin(own_broker.bootstrap).list_topics(timeout=DEADLINE_S)
    assert metadata.cluster_id == cluster
    assert len(metadata.topics["kept"].partitions) == 24
    resource = ConfigResource(ResourceType.TOPIC, "kept")
    client = admin(own_broker.bootstrap)
    (described,) = client.describe_configs([resource]).values()
    assert described.result(patient(DEADLINE_S))["cleanup.policy"].value == "compact"
    assert [message.value() for message in read(own_broker.bootstrap, "kept", 2)] == [b"1", b"2"]


def test_a_killed_broker_keeps_every_acknowledged_record(own_broker: EmbeddedKafka) -> None:
    create(own_broker.bootstrap, "survives")
    values = [str(number).encode() for number in range(500)]
    send(own_broker.bootstrap, "survives", *values)

    os.kill(own_broker.pid, signal.SIGKILL)
    own_broker.kill()
    own_broker.start()

    assert [message.value() for message in read(own_broker.bootstrap, "survives", 500)] == values


@pytest.mark.exhaustive
def test_two_brokers_on_one_data_folder_are_refused_in_one_sentence(own_broker: EmbeddedKafka) -> None:
    second = EmbeddedKafka(own_broker.data)
    with pytest.raises(UsageError, match=r"another Kafka broker is using the data folder") as caught:
        second.start()
    assert str(own_broker.data) in str(caught.value)
    assert "\n" not in str(caught.value)
    before = time.monotonic()
    own_broker.stop()
    assert time.monotonic() - before < 4, "the first broker was disturbed"


def test_a_data_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot be written \(Not a directory\)"):
        EmbeddedKafka(tmp_path / "file" / "kafka").start()


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} on 127.0.0.1 is already in use"):
            EmbeddedKafka(tmp_path, port=port).start()


@pytest.mark.exhaustive
def test_a_port_lost_between_choice_and_bind_is_chosen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    choose = kafka._bound_port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        choices = iter([taken.getsockname()[1]])
        monkeypatch.setattr(kafka, "_bound_port", lambda held, wanted: next(choices, None) or choose(held, wanted))
        with EmbeddedKafka() as broker:
            assert not broker.bootstrap.endswith(f":{taken.getsockname()[1]}")
            admin(broker.bootstrap).list_topics(timeout=DEADLINE_S)
            assert broker.data.is_dir()
    assert not broker.data.exists(), "its data was temporary"


def test_a_broker_that_does_not_come_up_quotes_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedded.kafka_configuration.PROPERTIES", {**PROPERTIES, "num.io.threads": "many"})
    (tmp_path / "cluster.id").write_text("formatted\n")
    with pytest.raises(BrokerUnreachable, match=r"ended with exit code 1 before it was ready") as caught:
        EmbeddedKafka(tmp_path).start()
    assert "num.io.threads" in str(caught.value)
    assert str(tmp_path / "kafka.log") in str(caught.value)


@pytest.mark.exhaustive
def test_no_broker_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from embedded.kafka import EmbeddedKafka\n"
        "broker = EmbeddedKafka(Path(sys.argv[1]))\n"
        "broker.start()\n"
        "print(broker.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.kill()
    assert eventually(lambda: not alive(pid)), f"the broker {pid} outlived its parent"


@pytest.mark.exhaustive
def test_a_start_cache_that_is_no_such_thing_costs_time_alone(tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path / "data", cache=_cache_with_jars(tmp_path))
    broker.start_cache().write_bytes(b"no cache at all")
    with broker:
        create(broker.bootstrap, "served")
        assert "aot" not in broker.log.read_text("utf-8").casefold()


def _cache_with_jars(folder: Path) -> Path:
    """A cache of its own whose jars are the shared one's."""
    shared = EmbeddedKafka(folder / "unused").start_cache().parent
    (folder / "cache" / "jars").mkdir(parents=True)
    for lock in shared.iterdir():
        if lock.is_dir():
            (folder / "cache" / "jars" / lock.name).symlink_to(lock)
    return folder / "cache"


def test_ctrl_c_while_a_fresh_folder_is_prepared_ends_in_order(tmp_path: Path) -> None:
    """A terminal sends it to everything in the foreground at once."""

    def is_preparing() -> bool:
        return any(b"StorageTool" in words and str(tmp_path).encode() in words for words in command_lines())

    words = [sys.executable, "-m", "obflow", "kafka", "--port=0", f"--data={tmp_path}"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, process_group=0) as broker:
        assert eventually(is_preparing)
        os.killpg(broker.pid, signal.SIGINT)
        _, said = broker.communicate(timeout=patient(60))
    assert (broker.returncode, "obflow:" in said) == (0, False), said
    assert not is_preparing()
    assert not (tmp_path / "cluster.id").exists(), "it is prepared anew at the next start"


def command_lines() -> Iterator[bytes]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # ended meanwhile
            yield path.read_bytes()
