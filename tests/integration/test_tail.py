"""`obflow tail`: records of a topic, decoded, from where one asks."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest

from obflow.settings import Settings
from schemas.factors import FACTOR_NAMES
from schemas.messages import TradeRecord
from schemas.topics import FACTORS, TRADES
from tests.integration.advising import flags
from tests.integration.printing import print_here, print_until
from tests.integration.producing import fresh_topics
from tests.integration.sinking import Feed
from tests.schemas.examples import EXAMPLES, load
from tests.sinks.records import factors

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
