"""`obflow status` of real parts: what it counts, and what it says while one of them is away."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from obflow.cli import main
from obflow.metrics import Metrics
from obflow.settings import ClickHouseSettings, MetricsSettings, Settings
from obflow.status import look, parts
from schemas.errors import EXIT_FAILED
from schemas.messages import FeedState, FeedStatus, Source, TradeRecord
from schemas.topics import DEAD_LETTERS, FACTORS, FEED_STATUS, TRADES
from tests.integration.advising import advice_in, commands_in, flags
from tests.integration.backends import free_port
from tests.integration.printing import print_here, print_until
from tests.integration.sinking import Feed, opened, pipeline, run_until
from tests.schemas.examples import EXAMPLES, load
from tests.sinks.records import factors
from tests.support.patience import patient

pytestmark = pytest.mark.integration

NUMBERS = 7


@pytest.fixture(scope="module")
def settings(broker: str, clickhouse_server: ClickHouseSettings) -> Iterator[Settings]:
    """Seven trades of which five are stored, an event, a letter, and a feed that has spoken."""
    where = clickhouse_server.model_copy(update={"database": "test_status"})
    settings = pipeline(broker, where)
    trade = load(EXAMPLES / "trades/v1/buy.json")
    assert isinstance(trade, TradeRecord)
    trades = Feed(settings, TRADES)
    for number in range(NUMBERS - 2):
        trades.send(msgspec.structs.replace(trade, trade_id=str(number)))
    trades.flush()
    for topic, record in (
        (FACTORS, factors("BTCUSDT", [0, 1, 2])),
        (DEAD_LETTERS, load(EXAMPLES / "dead-letters/v1/frame.json")),
        (FEED_STATUS, FeedStatus("binance-futures", "BTCUSDT", Source.LIVE, FeedState.LIVE, 1, time.time_ns())),
    ):
        feed = Feed(settings, topic)
        feed.send(record)
        feed.flush()
    run_until(settings, lambda counts: counts["trades"].rows >= NUMBERS - 2 and counts["dead_letters"].rows >= 1)
    for number in range(2):
        trades.send(msgspec.structs.replace(trade, trade_id=f"later{number}"))
    trades.flush()
    yield settings
    with opened(clickhouse_server) as server:
        server.command("DROP DATABASE test_status SYNC")


def status_of(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["status", "--json", "--every=0.5s", *words]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def whole_status(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """The same once every part has answered in its time, which grows with the load, and which one may miss."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(look, "PATIENCE_S", patient(look.PATIENCE_S))
        patch.setattr(parts, "PAGE_SECONDS", patient(parts.PAGE_SECONDS))
        found = status_of(capsys, *words)
        for _ in range(2):
            if found["notes"]:
                found = status_of(capsys, *words)
    assert not found["notes"]
    return found


def test_every_part_is_shown_with_what_it_holds(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    with Metrics("producer").served(MetricsSettings(port=port)):
        found = whole_status(capsys, *flags(settings), f"--set=status.pages=127.0.0.1:{port}")

    assert [row["role"] for row in found["roles"]] == ["producer"]
    [feed] = found["feeds"]
    assert (feed["instrument"], feed["source"], feed["state"]) == ("binance-futures:BTCUSDT", "live", "live")
    tables = {row["table"]: row for row in found["tables"]}
    assert (tables["trades"]["rows"], tables["trades"]["waiting_records"]) == (NUMBERS - 2, 2)
    assert tables["trades"]["waiting_s"] >= 0.0
    assert (tables["factors"]["rows"], tables["regimes"]["rows"], tables["regimes"]["newest_row_age_s"]) == (3, 0, None)
    topics = {row["topic"].removeprefix(settings.kafka.topic_prefix): row for row in found["topics"]}
    assert (topics["trades.v1"]["held_records"], topics["trades.v1"]["written_records_per_s"]) == (NUMBERS, 0.0)
    assert {row["topic"] for row in found["workers"]} == {
        settings.kafka.topic_prefix + name for name in ("l2.v1", "factors.v1", "quotes.v1", "feed-status.v1")
    }
    assert {row["members"] for row in found["workers"]} == {0}
    assert [(row["instrument"], row["source"]) for row in found["books"]] == [("binance-futures:BTCUSDT", "replay")]
    assert [(row["role"], row["letters"]) for row in found["dead_letters"]] == [("producer", 1)]


@pytest.mark.exhaustive
def test_pages_of_others_and_a_proxy_hide_no_page_of_ours(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Html(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>no { metrics }</html>")

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    port = free_port()
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with Metrics("sink").served(MetricsSettings(port=port)), ThreadingHTTPServer(("127.0.0.1", 0), Html) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        pages = f"127.0.0.1:{other.server_address[1]},127.0.0.1:{port},nowhere.invalid:1"
        found = status_of(capsys, *flags(settings), f"--set=status.pages={pages}")
        other.shutdown()

    assert [(row["page"], row["role"]) for row in found["roles"]] == [
        (f"127.0.0.1:{port}", "sink"),
        ("nowhere.invalid:1", "does not answer"),
    ]


def test_a_process_that_takes_connections_and_says_nothing_is_shown(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PAGE_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as suspended:
        found = status_of(capsys, *flags(settings), f"--set=metrics.port={suspended.getsockname()[1]}")

    [row] = found["roles"]
    assert (row["role"], row["ready"], row["memory_mib"]) == ("does not answer", False, None)


@pytest.mark.exhaustive
def test_rates_are_those_between_two_looks(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """The picture for a person names the same tables."""
    assert main(["status", "--every=0.2s", *flags(settings)]) == 0
    shown = capsys.readouterr().out
    for name in ("feeds", "workers", "topics", "tables", "books", "dead_letters"):
        assert name in shown
    assert "rows" in shown


@pytest.mark.advice("`obflow status --watch` prints line by line")
@pytest.mark.exhaustive
def test_without_a_terminal_pictures_stand_one_below_the_other(settings: Settings) -> None:
    refused = print_here("top", *flags(settings)).decode()
    [words] = commands_in(advice_in(refused, "`obflow status --watch` prints line by line"))
    out = print_until(*words, "--every=0.2s", *flags(settings), until=lambda out: out.count(b"dead_letters") >= 3)
    assert out.count(b"feeds") >= 2


def test_a_part_that_is_away_is_named_within_seconds(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = free_port()
    begun_s = time.monotonic()
    found = status_of(capsys, *flags(settings), f"--set=clickhouse.port={nowhere}")
    assert "no ClickHouse answers" in found["notes"]["tables"]
    assert found["feeds"]
    found = status_of(capsys, *flags(settings), f"--set=kafka.bootstrap_servers=127.0.0.1:{nowhere}")
    assert "no Kafka broker answers" in found["notes"]["workers"]
    nothing = (
        *flags(settings),
        f"--set=clickhouse.port={nowhere}",
        f"--set=kafka.bootstrap_servers=127.0.0.1:{nowhere}",
    )
    assert main(["status", "--every=0.2s", *nothing]) == 0
    [words] = commands_in(capsys.readouterr().out)
    assert main([*words, *nothing]) == EXIT_FAILED
    assert time.monotonic() - begun_s < 120.0
