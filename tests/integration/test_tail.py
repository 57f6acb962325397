"""`obflow tail`: records of a topic, decoded, from where one asks."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest

from obflow import kafka, kafka_logs, topics
from obflow.settings import Settings
from obflow.tail_silence import TailSilence
from obflow.topics import topic_name
from schemas.errors import TopicMismatch
from schemas.factors import FACTOR_NAMES
from schemas.messages import TradeRecord
from schemas.topics import FACTORS, TRADES
from tests.integration.advising import TIMES, flags, refused
from tests.integration.printing import print_here, print_until
from tests.integration.producing import fresh_topics
from tests.integration.sinking import Feed
from tests.schemas.examples import EXAMPLES, load
from tests.sinks.records import factors
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def settings(broker: str) -> Settings:
    settings = fresh_topics(broker)
    trade = load(EXAMPLES / "trades/v1/buy.json")
    assert isinstance(trade, TradeRecord)
    trades, events = Feed(settings, TRADES), Feed(settings, FACTORS)
    for number in range(6):
        trades.send(msgspec.structs.replace(trade, trade_id=str(number), symbol="AB"[number % 2]))
    trades.send_bytes(b"junk")
    events.send(factors("A", [0, 1]))
    for feed in (trades, events):
        feed.flush()
    return settings


def records(settings: Settings, *words: str) -> list[dict[str, Any]]:
    out = print_here("tail", *words, "--json", *flags(settings)).decode()
    return [json.loads(line) for line in out.splitlines()]


def test_records_come_decoded_with_where_they_lie(settings: Settings) -> None:
    found = records(settings, "trades", "--from=start", "--count=7")

    assert sorted(one["record"]["trade_id"] for one in found if one["record"]) == list("012345")
    assert {one["topic"] for one in found} == {settings.kafka.topic_prefix + "trades.v1"}
    [junk] = [one for one in found if one["record"] is None]
    assert junk["error"]


def test_one_instrument_is_asked_for_by_either_of_its_names(settings: Settings) -> None:
    for name in ("A", "binance-futures:A"):
        found = records(settings, "trades.v1", f"--instrument={name}", "--from=1h", "--count=3")
        assert {one["record"]["symbol"] for one in found} == {"A"}
        assert len(found) == 3


def test_factors_stand_by_their_names(settings: Settings) -> None:
    [found] = records(settings, "factors", "--from=start", "--count=1")

    assert list(found["record"]["events"][0]["values"]) == list(FACTOR_NAMES)


def test_a_person_is_shown_the_first_values_of_a_factor_event_and_how_many_there_are(settings: Settings) -> None:
    line = print_here("tail", "factors", "--from=start", "--count=1", *flags(settings)).decode()

    assert "obi_l5: " in line
    assert f" … {len(FACTOR_NAMES)}}}" in line
    assert line.count("\n") == 1
    assert len(line) < 2_000


def test_from_the_end_only_what_comes_now_is_shown(settings: Settings) -> None:
    feed, begun_s = Feed(settings, FACTORS), time.monotonic()

    def until(out: bytes) -> bool:
        if time.monotonic() - begun_s > 2.0:
            feed.send(factors("LATE", [int(time.monotonic() * 10)]))
            feed.flush()
        return b"symbol=LATE" in out

    out = print_until("tail", "factors", *flags(settings), until=until)
    assert b"symbol=A " not in out


def test_a_topic_that_is_not_there_is_named_with_the_nearest(settings: Settings) -> None:
    assert b"did you mean trades" in print_here("tail", "trade", *flags(settings))


def silent(settings: Settings, topic: str, instrument: str | None = None) -> TailSilence:
    return TailSilence(settings, topic, kafka_logs.topic_ids(settings, [topic])[topic], instrument)


def test_silence_for_a_mistyped_instrument_is_told_once_with_those_that_there_are(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    silence = silent(settings, topic_name(settings, TRADES), "binance-futures:AA")
    for now_s in range(35):
        silence.note(now_s, {"venue": "binance-futures", "symbol": "AB"[now_s % 2]})

    told = capsys.readouterr().err
    assert told.startswith("no record of binance-futures:AA has come to ")
    assert "; there were some of binance-futures:A, binance-futures:B; did you mean binance-futures:A?" in told
    assert told.count("\n") == 1


def test_nothing_is_said_while_records_come(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    silence = silent(settings, topic_name(settings, TRADES))
    for now_s in range(50):
        silence.note(now_s, None)
        if now_s % 8 == 0:
            silence.end()

    assert capsys.readouterr().err == ""


@pytest.mark.advice("give the command again")
def test_a_topic_that_is_made_anew_or_deleted_while_it_is_read_ends_the_reading(broker: str) -> None:
    settings, trade = fresh_topics(broker), load(EXAMPLES / "trades/v1/buy.json")
    topic, client = topic_name(settings, TRADES), kafka.admin(settings)
    for _ in range(TIMES):
        silence = silent(settings, topic)
        client.delete_topics([topic])[topic].result()
        assert eventually(lambda: topic not in kafka_logs.logs_there(settings, [topic]))
        with pytest.raises(TopicMismatch, match="is not on the broker"):
            ended(silence)
        topics.apply(settings)
        refused(lambda: ended(silence), "give the command again")  # noqa: B023 - called at once
        feed = Feed(settings, TRADES)
        feed.send(trade)
        feed.flush()
        assert len(records(settings, "trades", "--from=start", "--count=1")) == 1


def ended(silence: TailSilence) -> None:
    for now_s in (0.0, 11.0, 22.0):
        silence.note(now_s, None)


@pytest.mark.exhaustive
def test_a_mistyped_instrument_does_not_wait_in_silence(settings: Settings) -> None:
    print_until(
        "tail", "trades", "--instrument=AA", "--from=start", *flags(settings), until=lambda out: b" AA has" in out
    )
