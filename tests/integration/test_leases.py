"""A lease by itself, on a real broker: who holds what, and what passes when a producer has slept."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka.admin import NewTopic

from obflow import kafka, kafka_logs
from obflow.metrics import Metrics
from obflow.settings import Settings
from obflow.topics import topic_name
from producers.books.records import ProducerRecord
from producers.broker.leases import AWAKE_SECONDS, MEMBER, SESSION_MS, FencedSink, Lease, group_of
from producers.selection import Selection
from schemas.errors import TopicMismatch
from schemas.topics import L2
from tests.integration.producing import fresh_topics
from tests.producers.messages import largest_record
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

BUCKETS = 8
NAMES = tuple(f"S{number}" for number in range(BUCKETS))


class Log:
    """A sink that takes everything."""

    waiting = 0

    def __init__(self) -> None:
        self.taken = 0

    def offer(self, record: ProducerRecord) -> bool:
        del record
        self.taken += 1
        return True


class Member:
    """A lease, a clock to put it to sleep with, and what it was told."""

    def __init__(self, settings: Settings, venue: str) -> None:
        self.settings = settings
        self.asleep_s = 0.0
        self.metrics = Metrics("producer")
        self.venue = venue
        self.lease = Lease(settings, venue, Selection(NAMES), metrics=self.metrics, monotonic_s=self.now)
        self.lease.on_taken = self.note
        self.taken: list[tuple[bool, frozenset[str]]] = []

    def now(self) -> float:
        return time.monotonic() + self.asleep_s

    def note(self, in_order: bool) -> None:
        self.taken.append((in_order, self.held))

    @property
    def held(self) -> frozenset[str]:
        return frozenset(name for name in NAMES if self.lease.holds(name))


@pytest.fixture
def join(broker: str) -> Iterator[Callable[[], Member]]:
    settings, venue = fresh_topics(broker, partitions=BUCKETS), f"venue-{uuid.uuid4().hex[:8]}"
    members: list[Member] = []

    def one_more() -> Member:
        members.append(Member(settings, venue))
        return members[-1]

    yield one_more
    for member in members:
        member.lease.close()


def shared(*members: Member) -> bool:
    """Whether each instrument has one of them, and each of them something; they go on meanwhile."""
    for member in members:
        member.lease.beat()
    held = [member.held for member in members]
    return all(held) and sum(map(len, held)) == len(NAMES) and frozenset().union(*held) == frozenset(NAMES)


def test_nobody_gets_what_another_has_not_given_up(join: Callable[[], Member]) -> None:
    first = join()
    assert eventually(lambda: shared(first))
    second = join()
    at_most: list[int] = []

    def both() -> bool:
        done = shared(first, second)
        at_most.append(len(first.held & second.held))
        return done

    assert eventually(both)
    assert max(at_most) == 0
    assert {len(first.held), len(second.held)} == {len(NAMES) // 2}
    [(in_order, kept)] = first.taken
    assert in_order
    assert kept == first.held, "what it is told to give up is not its own any more"
    assert first.metrics.value("obflow_leased_partitions", venue=first.venue) == BUCKETS // 2


@pytest.mark.exhaustive
def test_who_slept_publishes_nothing_until_it_has_joined_anew(
    join: Callable[[], Member],
) -> None:
    member, log = join(), Log()
    sink = FencedSink(log, member.lease)
    assert eventually(lambda: shared(member))
    assert sink.offer(largest_record())
    assert log.taken == 1

    member.asleep_s = AWAKE_SECONDS + 0.1
    assert sink.offer(largest_record()), "it is not kept either"
    assert log.taken == 1
    assert member.metrics.value("obflow_fenced_records_total", venue=member.venue) == 1
    member.lease.beat()
    assert member.taken == [(False, frozenset())]
    assert member.held == frozenset()

    assert eventually(lambda: shared(member))
    assert sink.offer(largest_record())
    assert log.taken == 2


def test_who_finds_other_partitions_than_at_its_start_ends_with_a_sentence(
    join: Callable[[], Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MEMBER, "topic.metadata.refresh.interval.ms", 500)
    member = join()
    assert eventually(lambda: shared(member))
    client, name = kafka.admin(member.settings), topic_name(member.settings, L2)
    client.delete_topics([name])[name].result()
    assert eventually(lambda: name not in kafka_logs.logs_there(member.settings, [name]))
    client.create_topics([NewTopic(name, BUCKETS // 2, 1)])[name].result()

    def beaten() -> bool:
        member.lease.beat()
        return False

    with pytest.raises(TopicMismatch, match="another number of partitions than at the start"):
        eventually(beaten)


def test_the_fence_closes_before_the_broker_forgets_anybody() -> None:
    heartbeat_s = 1.0

    assert SESSION_MS / 1000 - heartbeat_s > AWAKE_SECONDS


@pytest.mark.exhaustive
def test_who_asks_for_something_else_is_in_another_group() -> None:
    settings = Settings()
    asked = [Selection(("A", "B")), Selection(("A",)), Selection(), Selection(quotes=frozenset({"A"}))]

    assert len({group_of(settings, "v", one) for one in asked}) == len(asked)
    assert group_of(settings, "v", Selection(("B", "A"))) == group_of(settings, "v", asked[0])
    assert group_of(settings, "w", asked[0]) != group_of(settings, "v", asked[0])
