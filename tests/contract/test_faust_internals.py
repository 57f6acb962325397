"""The private parts of faust-streaming, mode and aiokafka that the processors rest on are the ones that were read.

Batch delivery overrides some of these methods and relies on what the others do. The versions are pinned; when one is
raised, these tests name what changed. Read the new source, decide whether delivery still holds, then write down its
digest: `python -m tests.contract.test_faust_internals` prints them all.
"""

from __future__ import annotations

import hashlib
import inspect
import tomllib
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from processors.worker import checkpoints, delivery, transport

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
PINNED = ("faust-streaming", "mode-streaming", "aiokafka")

CONSUMER = "faust.transport.consumer:Consumer."
DRIVER = "faust.transport.drivers.aiokafka:"
APP = "faust.app.base:App."
RECOVERY = "faust.tables.recovery:Recovery."
SENDER = "aiokafka.producer.sender:"
ACCUMULATOR = "aiokafka.producer.message_accumulator:"

SOURCES: dict[str, str] = {
    # overridden by BatchConsumer, BatchConsumerThread, BatchTransport, BatchApp
    "faust.transport.consumer:ThreadDelegateConsumer._getmany": "f9d47aa9010b5ff2",
    DRIVER + "Consumer._to_message": "7c24f6511b2fcef7",
    DRIVER + "Consumer._new_consumer_thread": "0870ec53dea75083",
    DRIVER + "AIOKafkaConsumerThread._create_worker_consumer": "c2701bfc3e6f6cad",
    CONSUMER + "on_buffer_full": "c8961679e0bcdce5",
    CONSUMER + "perform_seek": "0e8c130ff4b0afd8",
    CONSUMER + "on_partitions_revoked": "d04b7ae72c6fc206",
    CONSUMER + "on_partitions_assigned": "29ce96596f05a18c",
    CONSUMER + "_filter_tps_with_pending_acks": "f6f9239774234e7e",
    CONSUMER + "_new_offset": "1d2c7ea89a7ad4f1",
    APP + "_new_transport": "42db531312dd776f",
    APP + "_create_directories": "a9f571c3b04abec3",
    # the path a batch takes, and the order in which a rebalance happens
    CONSUMER + "getmany": "4b168d84882a70d6",
    "faust.transport.conductor:ConductorCompiler.build": "837cf521368c1ee4",
    "mode.utils.queues:FlowControlQueue.put": "0ba84eb5e357a17e",
    CONSUMER + "_wait_next_records": "6218e1969a636b3f",
    CONSUMER + "_drain_messages": "44a2500309e83c63",
    CONSUMER + "_filter_committable_offsets": "dc5e9baf5d994485",
    CONSUMER + "_should_commit": "5ce941793947ad42",
    CONSUMER + "_commit_offsets": "1a69799041188441",
    # a lower offset is committed after whatever is being committed
    CONSUMER + "maybe_wait_for_commit_to_finish": "d687f63a0b5ef0c5",
    "aiokafka.consumer.consumer:AIOKafkaConsumer.commit": "79b057d88220e5a2",
    "aiokafka.consumer.group_coordinator:GroupCoordinator.fetch_committed_offsets": "6c049c7379165952",
    "faust.transport.consumer:ThreadDelegateConsumer._commit": "a20eec84e4b2ed50",
    DRIVER + "AIOKafkaConsumerThread._commit": "932852ce7a23f658",
    CONSUMER + "on_stop": "45b1d2210ce2b526",
    DRIVER + "AIOKafkaConsumerThread.seek": "1498560d05f02582",
    DRIVER + "AIOKafkaConsumerThread._fetch_records": "39a2c6c79fc1455a",
    DRIVER + "ConsumerRebalanceListener.on_partitions_assigned": "1c1f8406ad3698a6",
    "mode.threads:QueueServiceThread.call_thread": "479edda75b54734b",
    "aiokafka.consumer.consumer:AIOKafkaConsumer.start": "2f1ba70443327538",
    "aiokafka.consumer.consumer:AIOKafkaConsumer.position": "2512259a90a2ebd7",
    "aiokafka.consumer.consumer:AIOKafkaConsumer.seek_to_committed": "f6cd85c8b70a4ccf",
    "aiokafka.consumer.fetcher:Fetcher.seek_to": "f0ba6aba6c22ef83",
    APP + "_on_partitions_revoked": "d5c895bbe57dc73a",
    APP + "_on_partitions_assigned": "de932b7927db85b3",
    APP + "_stop_consumer": "55854a5de12c3f52",
    # the table: what the store answers, and what recovery asks it
    "faust.tables.base:Collection._new_store": "914a2bda605d38f5",
    "faust.tables.base:Collection._changelog_topic_name": "f341fe97037b4ac8",
    "faust.stores.memory:Store.__post_init__": "e59c82f3785458b2",
    "faust.stores.memory:Store.on_recovery_completed": "a00bef343e139602",
    "faust.stores.memory:Store._create_batch_iterator": "b082c8bcc0403823",
    RECOVERY + "_add": "1584a197b11bf835",
    RECOVERY + "on_rebalance": "aa4d997a1795ceae",
    RECOVERY + "on_recovery_completed": "6ef567acf072e46d",
    # one batch of a partition under way at a time, and a failure told before the next one leaves
    DRIVER + "Producer.on_start": "219c9a7a785d77b2",
    DRIVER + "Producer._new_producer": "e72355c3430ed02f",
    "aiokafka.producer.producer:AIOKafkaProducer.__init__": "fd6f2966fb3dc883",
    "aiokafka.producer.producer:AIOKafkaProducer.send": "08ce81263f439838",
    "aiokafka.client:AIOKafkaClient._wait_on_metadata": "52b0a5ee78ef3aa0",
    "aiokafka.client:AIOKafkaClient.force_metadata_update": "cb7befef21c8f3f9",
    ACCUMULATOR + "MessageBatch.expired": "3b28f15f56f2acb1",
    SENDER + "Sender._sender_routine": "2380dc5e333d9ebd",
    SENDER + "Sender._send_produce_req": "aea01ae4b6c794cc",
    SENDER + "SendProduceReqHandler.do": "2dccd3d56b1607fb",
    ACCUMULATOR + "MessageAccumulator.add_message": "56ff7e6c19185f83",
    ACCUMULATOR + "MessageAccumulator.drain_by_nodes": "fc995afbfc5718e2",
    ACCUMULATOR + "MessageAccumulator.reenqueue": "f75f518a1ae27ade",
    ACCUMULATOR + "MessageBatch.failure": "719b2122c318e955",
}

OVERRIDES = (
    (delivery.BatchConsumerThread, "_create_worker_consumer"),
    (delivery.BatchConsumer, "_getmany"),
    (delivery.BatchConsumer, "_to_message"),
    (delivery.BatchConsumer, "_new_consumer_thread"),
    (delivery.BatchConsumer, "on_buffer_full"),
    (delivery.BatchConsumer, "perform_seek"),
    (delivery.BatchConsumer, "on_partitions_revoked"),
    (delivery.BatchConsumer, "on_partitions_assigned"),
    (delivery.BatchConsumer, "_filter_tps_with_pending_acks"),
    (delivery.BatchConsumer, "_new_offset"),
    (transport.KeepingProducer, "_new_producer"),
    (transport.BatchApp, "_new_transport"),
    (transport.BatchApp, "_create_directories"),
    (checkpoints.CheckpointTable, "_new_store"),
    (checkpoints.CheckpointStore, "persisted_offset"),
    (checkpoints.CheckpointStore, "set_persisted_offset"),
    (checkpoints.CheckpointStore, "on_rebalance"),
)


def method(place: str) -> Any:
    module, _, name = place.partition(":")
    found: Any = import_module(module)
    for part in name.split("."):
        found = inspect.getattr_static(found, part)
    return found


def source_digest(place: str) -> str:
    return hashlib.sha256(inspect.getsource(method(place)).encode()).hexdigest()[:16]


@pytest.mark.parametrize("distribution", PINNED)
def test_the_installed_version_is_the_pinned_one(distribution: str) -> None:
    requirements = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]["dependencies"]

    assert f"{distribution}=={version(distribution)}" in requirements


@pytest.mark.parametrize("place", SOURCES)
def test_the_source_is_the_one_that_was_read(place: str) -> None:
    assert source_digest(place) == SOURCES[place], f"{place} changed: see this file's docstring"


@pytest.mark.parametrize(("ours", "name"), OVERRIDES, ids=lambda value: getattr(value, "__name__", value))
def test_an_override_takes_what_the_stock_method_takes(ours: type, name: str) -> None:
    stock = next(base.__dict__[name] for base in ours.__mro__[1:] if name in base.__dict__)

    assert list(inspect.signature(ours.__dict__[name]).parameters) == list(inspect.signature(stock).parameters)


@pytest.mark.parametrize(("ours", "name"), OVERRIDES, ids=lambda value: getattr(value, "__name__", value))
def test_an_override_that_replaces_a_coroutine_is_one(ours: type, name: str) -> None:
    stock = next(base.__dict__[name] for base in ours.__mro__[1:] if name in base.__dict__)

    assert inspect.iscoroutinefunction(ours.__dict__[name]) == inspect.iscoroutinefunction(stock)


if __name__ == "__main__":
    for known in SOURCES:
        print(f"{known}: {source_digest(known)}")  # noqa: T201 (a tool's output)
