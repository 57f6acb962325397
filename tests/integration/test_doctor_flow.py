"""`obflow doctor` reads the flow on real servers: who reads, how far, what is lost, and what its feeds say."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from obflow.metrics import Metrics
from obflow.settings import ClickHouseSettings, Settings
from producers.broker.publisher import Publisher
from schemas.messages import FeedState, FeedStatus, Source, TradeRecord
from tests.integration.advising import TIMES, Command, advice_in, commands_in, flags
from tests.integration.processing import interleaved, pipeline, publish, workers
from tests.integration.test_emptied_changelog import emptied
from tests.integration.test_processor import drained, streams_of
from tests.integration.test_producer_commands import running, simulated, wait_for_deltas
from tests.support.patience import patient

pytestmark = [pytest.mark.integration, pytest.mark.slow]

START = "start `{…}`"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("obflow.logs.configure", lambda settings: None)
    return Command(capsys)


@pytest.fixture
def settings(broker: str, clickhouse: ClickHouseSettings) -> Settings:
    return pipeline(broker).model_copy(update={"clickhouse": clickhouse})


def findings(run: Command, settings: Settings, code: int = 1) -> dict[str, dict[str, Any]]:
    """What doctor finds, by name; tables are not made here, so that it never finds all well."""
    said = run("doctor", "--json", *flags(settings), code=code)
    return {one["name"]: one for one in msgspec.json.decode(said.splitlines()[-1])["checks"]}


@pytest.mark.exhaustive
@pytest.mark.advice("start `{…}`")
def test_a_group_without_members_is_named_and_started_again_and_again(
    run: Command, settings: Settings, tmp_path: Path
) -> None:
    streams = streams_of(seed=70, instruments=6, records=90)
    assert findings(run, settings)["books workers"]["detail"].endswith("has never run: `obflow process` starts one")
    for number in range(TIMES):
        with workers(settings, tmp_path / f"before{number}") as start:
            worker = start()
            worker.wait_ready()
            drained(settings)
            assert worker.stop() == 0
        publish(settings, interleaved([records[30 * number : 30 * (number + 1)] for records in streams]))
        found = findings(run, settings)["books workers"]
        assert "has no members, and records wait" in found["detail"]
        [[role]] = commands_in(advice_in(found["remedy"], START))
        with workers(settings, tmp_path / f"after{number}", role) as start:
            worker = start()
            drained(settings)
            assert findings(run, settings)["books workers"]["ok"]
            assert worker.stop() == 0


@pytest.mark.exhaustive
def test_an_emptied_changelog_is_named_until_a_worker_has_read_its_partitions_again(
    run: Command, settings: Settings, tmp_path: Path
) -> None:
    streams = streams_of(seed=80, instruments=6, records=60)
    publish(settings, interleaved([records[:30] for records in streams]))
    with workers(settings, tmp_path / "before") as start:
        worker = start()
        drained(settings)
        assert worker.stop() == 0
    assert findings(run, settings)["books checkpoints"]["ok"]
    emptied(settings)
    found = findings(run, settings)["books checkpoints"]
    assert "holds no checkpoint in" in found["detail"]
    assert found["remedy"] == "restart the worker"

    publish(settings, interleaved([records[30:] for records in streams]))
    with workers(settings, tmp_path / "after") as start:
        worker = start()
        drained(settings)
        assert worker.stop() == 0
    assert findings(run, settings)["books checkpoints"]["ok"]


def test_what_the_feeds_say_is_a_finding_for_each_kind(run: Command, settings: Settings) -> None:
    said = {
        "SILENT": (FeedState.STALE, "no depth update for 31 s"),
        "BREAK": (FeedState.LIVE, "the venue lists it as BREAK"),
        "GONE": (FeedState.STOPPED, "the venue lists it as CLOSE: it will not trade again"),
        "BANNED": (FeedState.LIVE, "the venue refuses requests (HTTP 418)"),
        "WELL": (FeedState.LIVE, ""),
    }
    now_ns = time.time_ns()
    with closing(Publisher(settings, Metrics("producer"), time.time_ns)) as publisher:
        for symbol, (state, detail) in said.items():
            publisher.offer(FeedStatus("binance", symbol, Source.LIVE, state, 1, now_ns, detail=detail))
        publisher.flush(patient(20))
    found = findings(run, settings)

    assert found["channel silent"]["detail"] == "binance:SILENT: no depth update for 31 s"
    assert found["symbol in break"]["detail"] == "binance:BREAK: the venue lists it as BREAK"
    assert found["symbol delisted"]["detail"].startswith("binance:GONE: ")
    assert found["ban in force"]["detail"] == "binance:BANNED: the venue refuses requests (HTTP 418)"
    assert all(found[name]["remedy"] for name in ("channel silent", "symbol in break", "symbol delisted"))
    assert found["store clock"]["ok"]


@pytest.mark.exhaustive
@pytest.mark.advice("its log has the cause; start it again, as with {…}")
def test_a_producer_that_was_killed_is_named_with_what_starts_it_again_and_again(
    run: Command, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with simulated() as where:
        urls = ("--websocket-url", where["websocket_url"], "--rest-url", where["rest_url"])
        source = {"OBFLOW_PRODUCER__SOURCE": "simulator"}
        words = ["produce", "binance-futures", "--symbol", "BTCUSDT"]
        for number in range(TIMES + 1):
            with running(*words, *urls, *flags(settings), **source):
                wait_for_deltas(settings, 12 * (number + 1))
                assert "feed silent" not in findings(run, settings)
            with monkeypatch.context() as patched:
                patched.setattr("producers.checks.SILENT_S", 0.1)
                found = findings(run, settings)["feed silent"]
            assert found["detail"].startswith("binance-futures:BTCUSDT: its producer has said nothing for ")
            [words] = commands_in(advice_in(found["remedy"], "its log has the cause; start it again, as with {…}"))


@pytest.mark.exhaustive
def test_a_table_that_stands_still_is_named_with_the_command_that_feeds_it(run: Command, settings: Settings) -> None:
    run("tables", "apply", *flags(settings))
    trade = TradeRecord("binance", "BTCUSDT", Source.LIVE, "1", time.time_ns(), "0.01", "0.001", 5, 5)
    with closing(Publisher(settings, Metrics("producer"), time.time_ns)) as publisher:
        publisher.offer(trade)
        publisher.flush(patient(20))
    found = findings(run, settings, code=0)
    assert found["rows of trades"]["detail"].startswith("1 record waits, for ")
    time.sleep(11.0)
    found = findings(run, settings)

    assert found["rows of trades"]["detail"].startswith("table trades does not move: 1 record for ")
    assert found["rows of trades"]["remedy"] == "start `obflow sink --table trades`"
    assert found["rows of factors"]["ok"]


@pytest.mark.exhaustive
def test_where_no_table_moves_one_command_is_named_and_one_pause_made_for_all(run: Command, settings: Settings) -> None:
    run("tables", "apply", *flags(settings))
    now_ns = time.time_ns()
    with closing(Publisher(settings, Metrics("producer"), time.time_ns)) as publisher:
        publisher.offer(TradeRecord("binance", "BTCUSDT", Source.LIVE, "1", now_ns, "0.01", "0.001", 5, 5))
        publisher.offer(FeedStatus("binance", "BTCUSDT", Source.LIVE, FeedState.STOPPED, 1, now_ns))
        publisher.flush(patient(20))
    time.sleep(11.5)
    found = findings(run, settings)

    stuck = [found[f"rows of {table}"] for table in ("trades", "feed_status")]
    assert [one["ok"] for one in stuck] == [False, False]
    assert {one["remedy"] for one in stuck} == {"start `obflow sink`"}
