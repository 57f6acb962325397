"""The way to the broker, against a stand-in for the client library: what is counted, what is refused, what ends it."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError

from obflow.metrics import Metrics
from obflow.settings import KafkaSettings, Settings
from producers.broker.publisher import Publisher, key_of
from schemas.codec import decode
from schemas.errors import DeliveryFailed
from schemas.messages import DeadLetter, FeedState, FeedStatus, Kind, L2Record, Reason, Source, TradeRecord
from tests.producers.fake_kafka import FakeClient, Sent

SETTINGS = Settings(kafka=KafkaSettings(topic_prefix="t."))


def publisher(**options: Any) -> Publisher:
    return Publisher(SETTINGS, Metrics("producer"), lambda: 5 * 10**9, **options)


def l2(kind: Kind = Kind.DELTA, symbol: str = "BTCUSDT", sequence: int = 2) -> L2Record:
    reason = Reason.GAP if kind is Kind.INVALID else None
    previous = 1 if kind is Kind.DELTA else None
    return L2Record(
        "v", symbol, Source.LIVE, kind, 1, sequence, 4 * 10**9, "1", "1", reason, previous_sequence=previous
    )


TRADE = TradeRecord("v", "BTCUSDT", Source.LIVE, "1", 0, "1", "1", 5, 5)
STATUS = FeedStatus("v", "BTCUSDT", Source.LIVE, FeedState.LIVE, 1, 0)
LETTER = DeadLetter("v:1:9", "producer", "DecodeError", "", 0, b"", 0)


def test_each_record_goes_to_its_topic_under_its_instrument_in_order(client: FakeClient) -> None:
    records = [l2(Kind.SNAPSHOT), TRADE, l2(), STATUS, LETTER]
    out = publisher()
    assert all(out.offer(record) for record in records)
    out.flush(1)

    assert [sent.topic() for sent in client.log] == [
        "t.l2.v1",
        "t.trades.v1",
        "t.l2.v1",
        "t.feed-status.v1",
        "t.dead-letters.v1",
    ]
    assert [decode(sent.value()) for sent in client.log] == records
    assert [sent.key() for sent in client.log] == [b"v:BTCUSDT"] * 4 + [b"v:1:9"]


@pytest.mark.parametrize("each_report", [True, False])
def test_only_what_the_broker_has_is_counted(client: FakeClient, each_report: bool) -> None:
    out = publisher(each_report=each_report)
    for record in (l2(), l2(sequence=3), TRADE):
        out.offer(record)
    assert out.acknowledged == {}
    out.flush(1)

    assert out.acknowledged == {"l2.v1": 2, "trades.v1": 1}


def test_a_full_queue_takes_nothing_and_says_so(client: FakeClient) -> None:
    client.room = 1
    out = publisher()

    assert out.offer(l2())
    assert not out.offer(l2(sequence=3))
    assert out.waiting == 1
    out.poll()
    assert out.offer(l2(sequence=3))
    out.flush(1)
    assert out.acknowledged == {"l2.v1": 2}


def test_waiting_for_room_hands_everything_over(client: FakeClient) -> None:
    client.room = 2
    out = publisher(each_report=False)
    for number in range(7):
        out.wait(TradeRecord, b"k", b"%d" % number)
    out.flush(1)

    assert [sent.value() for sent in client.log] == [b"%d" % number for number in range(7)]


@pytest.mark.parametrize("each_report", [True, False])
def test_a_record_the_broker_did_not_take_ends_it_and_nothing_later_leaves(
    client: FakeClient, each_report: bool
) -> None:
    out = publisher(each_report=each_report)
    out.offer(l2())
    client.error = KafkaError(KafkaError._MSG_TIMED_OUT)
    with pytest.raises(DeliveryFailed, match=r"did not take a record of t\.l2\.v1"):
        out.poll()

    assert client.purged
    with pytest.raises(DeliveryFailed):
        out.offer(l2(sequence=3))
    with pytest.raises(DeliveryFailed):
        out.flush(1)
    assert out.acknowledged == {}


def test_statuses_carry_the_run_that_wrote_them_and_nothing_else_does(client: FakeClient) -> None:
    out, other = publisher(), publisher()
    for record in (STATUS, l2(), TRADE):
        out.offer(record)
    out.flush(1)

    assert [sent.headers() for sent in client.log] == [[("run", out.run.encode())], None, None]
    assert out.run != other.run


def test_a_topic_that_takes_less_than_declared_is_named_with_a_command_to_see_it(client: FakeClient) -> None:
    out = publisher()
    out.offer(l2())
    client.error = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
    with pytest.raises(DeliveryFailed, match=r"t\.l2\.v1 takes smaller records than declared.*`obflow topics check`"):
        out.poll()


def test_a_flush_has_a_deadline(client: FakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "poll", lambda _seconds: 0)
    out = publisher()
    out.offer(l2())

    with pytest.raises(DeliveryFailed, match="1 records were not acknowledged within 0 s"):
        out.flush(0)


def test_a_place_in_a_log_that_is_no_more_answers_nobody_in_the_new_one(client: FakeClient) -> None:
    """A request would be passed over until the next routine snapshot, though the book that asks has none."""
    out = publisher()
    for kind in (Kind.DELTA, Kind.SNAPSHOT):
        out.offer(l2(kind))
        out.poll()
    assert out.is_before_mark("BTCUSDT", 3, 0)
    client.log.clear()  # the topic is made anew
    out.offer(l2())
    out.poll()

    assert not out.is_before_mark("BTCUSDT", 3, 0)


def test_where_the_last_snapshot_or_invalid_lies_is_known(client: FakeClient) -> None:
    """A reader that broke before it finds its answer further on."""
    out = publisher()
    out.offer(l2())
    assert not out.is_before_mark("BTCUSDT", 3, 0)
    out.offer(l2(Kind.SNAPSHOT))
    assert out.is_before_mark("BTCUSDT", 3, 99), "one is on its way"
    out.poll()

    assert out.is_before_mark("BTCUSDT", 3, 0)
    assert not out.is_before_mark("BTCUSDT", 3, 1)
    assert not out.is_before_mark("ETHUSDT", 3, 0)
    out.offer(l2(Kind.INVALID))
    out.poll()
    assert out.is_before_mark("BTCUSDT", 3, 1)


def test_an_instrument_that_moves_to_another_partition_ends_the_publisher(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = publisher()
    for record in (l2(), LETTER):
        out.offer(record)
    out.poll()
    monkeypatch.setattr(Sent, "home", 7)
    out.offer(LETTER)
    out.poll()
    out.offer(l2(sequence=3))

    with pytest.raises(DeliveryFailed, match="its keys have moved"):
        out.poll()


def test_the_latency_of_updates_is_shown(client: FakeClient) -> None:
    metrics = Metrics("producer")
    out = Publisher(SETTINGS, metrics, lambda: 5 * 10**9)
    out.offer(l2())
    out.flush(1)

    assert metrics.registry.get_sample_value("obflow_stage_latency_seconds_sum", {"stage": "publish"}) == 1.0
    assert metrics.value("obflow_emitted_total", topic="l2.v1") == 1


def test_a_dead_letters_key_is_its_id() -> None:
    assert key_of(LETTER) == b"v:1:9"
    assert key_of(TRADE) == b"v:BTCUSDT"
