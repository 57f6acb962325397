"""Advice to producers and workers is done: by the command that was refused, and by one started again."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import structlog

from obflow.clock import SystemClock
from obflow.metrics import Metrics
from obflow.settings import Settings
from producers.broker.earlier import refuse_other_source
from producers.broker.guard import LiveGuard
from producers.broker.publisher import Publisher
from producers.live import run as service
from producers.settings import ProducerSettings
from schemas.errors import UsageError
from schemas.messages import FeedState, FeedStatus, Source
from schemas.topics import L2, TRADES
from tests.contract.advice import ROOT
from tests.integration.advising import TIMES, Command, advice_in, flags, refused, settings_in
from tests.integration.backends import free_port
from tests.integration.processing import OBFLOW, interleaved, publish, workers
from tests.integration.processing import pipeline as processing
from tests.integration.producing import fresh_topics, read_topic
from tests.integration.test_processor import Expected, FactorLog, drained, streams_of
from tests.integration.test_producer_commands import first_line, running, simulated, stop
from tests.support.patience import patient
from tests.support.tiers import tiered

pytestmark = [pytest.mark.integration, pytest.mark.slow]

RECORDING = str(ROOT / "tests" / "recordings" / "binance-futures.frames.jsonl.gz")
VENUE = "--venue=binance-futures"


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings file; and logging as it was, for commands set it up."""
    monkeypatch.chdir(tmp_path)
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture(scope="module")
def venue() -> Iterator[dict[str, str]]:
    """The addresses of a simulated venue."""
    with simulated("--symbol", "ETHUSDT") as where:
        yield where


# ---- replays


@pytest.mark.advice("write --shift now, or leave it out", "write max, 1x or 10x", "name its venue with --venue")
def test_words_of_a_replay(run: Command, broker: str, tmp_path: Path) -> None:
    settings = fresh_topics(broker)
    other = tmp_path / "other.frames.jsonl"
    other.write_text('{"received_ns": 1, "via": "ws", "raw": "{\\"topic\\": \\"orderbook.50.BTCUSDT\\"}"}\n')
    replay = ["replay", RECORDING, "--limit-frames=300", "--json", "--again", *flags(settings)]
    run.refused(*replay, VENUE, "--shift=then", sentence="write --shift now, or leave it out")
    run.refused(*replay, VENUE, "--speed=fast", sentence="write max, 1x or 10x")
    run.refused("replay", str(other), VENUE, *flags(settings), sentence="name its venue with --venue")
    rights = [["--shift=now"], ["--speed=max"], ["--speed=10x"], ["--speed=1x", "--limit-frames=60"], []]
    for number in range(TIMES):
        for more in rights[: None if number == 0 else 2]:
            [said] = [line for line in run(*replay, VENUE, *more).splitlines() if '"records_per_s"' in line]
            assert json.loads(said)["l2"] > 0


@pytest.mark.advice("replay beside it with --topic-prefix, or stop that producer and wait a minute")
def test_a_replay_into_a_live_instrument(run: Command, broker: str) -> None:
    settings = fresh_topics(broker)
    replay = ["replay", RECORDING, VENUE, "--limit-frames=60", "--again", *flags(settings)]
    with closing(Publisher(settings, Metrics("producer"), SystemClock().now_ns)) as other:
        other.offer(FeedStatus("binance-futures", "BTCUSDT", Source.LIVE, FeedState.LIVE, 1, 0))
        other.flush(patient(20))
        sentence = "replay beside it with --topic-prefix, or stop that producer and wait a minute"
        run.refused(*replay, sentence=sentence)
        prefix = f"{settings.kafka.topic_prefix}beside."
        for _ in range(TIMES):
            run(*replay, f"--topic-prefix={prefix}")
        assert read_topic(settings, L2) == [], "nothing came among the live records"
        other.offer(FeedStatus("binance-futures", "BTCUSDT", Source.LIVE, FeedState.STOPPED, 1, 0))
        other.flush(patient(20))
    for _ in range(TIMES):
        run(*replay)


@pytest.mark.exhaustive
@pytest.mark.advice("leave it at that, or replay it with --again: views then count the newest run alone")
def test_a_recording_that_was_replayed_before(run: Command, broker: str) -> None:
    settings = fresh_topics(broker)
    replay = ["replay", RECORDING, VENUE, "--limit-frames=60", *flags(settings)]
    run(*replay)
    once = len(read_topic(settings, L2))
    sentence = "leave it at that, or replay it with --again: views then count the newest run alone"
    run.refused(*replay, sentence=sentence)
    assert len(read_topic(settings, L2)) == once
    for number in range(TIMES):
        run(*replay, "--again")
        assert len(read_topic(settings, L2)) == (number + 2) * once


MIXED = (
    "set kafka.topic_prefix and clickhouse.database to others, or producer.beside_other_sources "
    "to true where both belong together"
)


@pytest.mark.exhaustive
@pytest.mark.advice(
    "set kafka.topic_prefix and clickhouse.database to others, or producer.beside_other_sources "
    "to true where both belong together"
)
def test_simulated_records_of_an_instrument_that_is_to_be_live(broker: str) -> None:
    settings = fresh_topics(broker)
    with closing(Publisher(settings, Metrics("producer"), SystemClock().now_ns)) as simulated_one:
        simulated_one.offer(FeedStatus("binance-futures", "BTCUSDT", Source.SIMULATOR, FeedState.STOPPED, 1, 0))
        simulated_one.flush(patient(20))
    for symbols, right in ((["ETHUSDT"], settings), (["BTCUSDT"], fresh_topics(broker))):
        refuse_other_source(right, "binance-futures", symbols)
    refused(lambda: refuse_other_source(settings, "binance-futures", ["BTCUSDT"]), MIXED, UsageError)
    for key, value in (("beside_other_sources", True), ("source", "simulator")):
        chosen = settings.of(ProducerSettings).model_copy(update={key: value})
        refuse_other_source(settings.model_copy(update={"producer": chosen}), "binance-futures", ["BTCUSDT"])


# ---- venues


@pytest.mark.advice("--port 0 takes a free one")
def test_a_port_that_is_taken(run: Command) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as taken:
        run.refused("simulate", f"--port={taken.server_address[1]}", sentence="--port 0 takes a free one")
        for _ in range(TIMES):
            with running("simulate", "--port", "0", "--json") as process:
                assert json.loads(first_line(process.stdout))["rest_url"].startswith("http://127.0.0.1:")
                assert stop(process)[0] == 0


class _Refuses(BaseHTTPRequestHandler):
    """A venue that refuses every request, or answers what is no list of instruments."""

    def do_GET(self) -> None:
        status, body = self.server.answer  # type: ignore[attr-defined] # set below
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        del format, args


@pytest.fixture
def refuser() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refuses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.advice(
    "check the network, or set producer.rest_url",
    "check the symbols, or producer.rest_url",
    "check producer.rest_url",
)
def test_a_rest_address_that_is_not_the_venues(
    run: Command,
    venue: dict[str, str],
    refuser: ThreadingHTTPServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "RECORDER_PATIENCE_SECONDS", 0.3)
    record = ["record", "binance-futures", "--symbol=BTCUSDT", f"--set=producer.websocket_url={venue['websocket_url']}"]
    there = f"http://127.0.0.1:{refuser.server_address[1]}"
    faults = [
        (f"http://127.0.0.1:{free_port()}", (0, b""), "check the network, or set producer.rest_url"),
        (there, (400, b'{"code":-1121,"msg":"Invalid symbol."}'), "check the symbols, or producer.rest_url"),
        (there, (200, b'{"code":-1,"msg":"no"}'), "check producer.rest_url"),
    ]
    for number, (address, answer, sentence) in enumerate(faults):
        refuser.answer = answer  # type: ignore[attr-defined]
        out = f"--out={tmp_path}/bad{number}.frames.jsonl.gz"
        wrong = [*record, out, "--for=1s", f"--set=producer.rest_url={address}"]
        [setting] = settings_in(run.refused(*wrong, sentence=sentence, code=3))
        for time in range(TIMES):
            path = tmp_path / f"{number}-{time}.frames.jsonl.gz"
            right = [*record, f"--out={path}", "--for=0.5s", f"--set={setting}={venue['rest_url']}"]
            assert "lines in" in run(*right)
            assert path.stat().st_size > 100


@pytest.mark.advice("check the network, or set producer.websocket_url")
def test_a_websocket_address_that_is_not_the_venues(run: Command, venue: dict[str, str], tmp_path: Path) -> None:
    record = ["record", "binance-futures", "--symbol=BTCUSDT", f"--set=producer.rest_url={venue['rest_url']}"]
    nowhere = f"ws://127.0.0.1:{free_port()}"
    words = [*record, f"--out={tmp_path}/bad.frames.jsonl.gz", "--for=1s", f"--set=producer.websocket_url={nowhere}"]
    sentence = "check the network, or set producer.websocket_url"
    [setting] = settings_in(advice_in(run(*words).replace("\\n", "\n"), sentence))
    for number in range(TIMES):
        path = tmp_path / f"{number}.frames.jsonl.gz"
        right = [*record, f"--out={path}", "--for=1s", f"--set={setting}={venue['websocket_url']}"]
        assert sentence not in run(*right)
        assert "depthUpdate" in subprocess.run(["gzip", "-dc", path], capture_output=True, text=True, check=True).stdout


@pytest.mark.exhaustive
@pytest.mark.advice("stop that producer, or set kafka.topic_prefix to topics of this one's own")
async def test_another_producer_of_the_instrument(broker: str) -> None:
    settings = await asyncio.to_thread(fresh_topics, broker)
    clock, metrics = SystemClock(), Metrics("producer")

    def say(publisher: Publisher, state: FeedState) -> None:
        publisher.offer(FeedStatus("binance-futures", "BTCUSDT", Source.LIVE, state, 1, 0))
        publisher.flush(patient(20))

    async def start(settings: Settings) -> None:
        """What a producer does before it begins, and its farewell."""
        own = Publisher(settings, metrics, clock.now_ns)
        guard = LiveGuard(settings, "binance-futures", ["BTCUSDT"], run=own.run, clock=clock, metrics=metrics)
        try:
            await guard.stand_alone(asyncio.Event())
            await asyncio.to_thread(say, own, FeedState.CONNECTING)
            await guard.claim(own, Source.LIVE, asyncio.Event())
            await asyncio.to_thread(say, own, FeedState.STOPPED)
        finally:
            own.close()
            guard.close()

    with closing(Publisher(settings, metrics, clock.now_ns)) as other:
        await asyncio.to_thread(say, other, FeedState.LIVE)
        starting = asyncio.create_task(start(settings))
        while not starting.done():
            await asyncio.to_thread(say, other, FeedState.LIVE)
        sentence = "stop that producer, or set kafka.topic_prefix to topics of this one's own"
        [setting] = settings_in(advice_in(str(starting.exception()), sentence))
        assert setting == "kafka.topic_prefix"
        for _ in range(TIMES):
            await start(await asyncio.to_thread(fresh_topics, broker))
        await asyncio.to_thread(say, other, FeedState.STOPPED)
    for _ in range(TIMES):
        await asyncio.wait_for(start(settings), patient(20))
    assert await asyncio.to_thread(read_topic, settings, TRADES) == []


# ---- workers


BREAKS = """
import asyncio, sys
from processors.worker import checkpoints
async def run(self):
    await asyncio.sleep(1)
    raise ZeroDivisionError("planted")
checkpoints.Checkpointer.run = run
from obflow.cli import main
sys.exit(main())
"""


@pytest.mark.advice(
    "restart it; it continues from its checkpoints", "restart the worker, it continues from its checkpoint"
)
@pytest.mark.parametrize("fault", tiered(["a part breaks", "a record is not acknowledged"], "a part breaks"))
def test_a_worker_that_failed_is_started_again_and_again(broker: str, tmp_path: Path, fault: str) -> None:
    settings = processing(broker)
    streams = streams_of(seed=3, instruments=8, records=200)
    publish(settings, interleaved([records[:50] for records in streams]))
    breaks = fault == "a part breaks"
    sentence = (
        "restart it; it continues from its checkpoints"
        if breaks
        else ("restart the worker, it continues from its checkpoint")
    )
    command = [sys.executable, "-c", BREAKS] if breaks else OBFLOW
    with workers(settings, tmp_path / "doomed", command=command) as doom:
        failing = doom(**({} if breaks else {"OBFLOW_FAULT_FAIL_SEND": "3"}))
        assert failing.process.wait(patient(120)) == 1, failing.tail()
        advice_in(failing.tail(), sentence)
    for time in range(TIMES):
        with workers(settings, tmp_path / str(time)) as start:
            worker = start()
            worker.wait_ready(60)
            publish(settings, interleaved([records[50 * (time + 1) : 50 * (time + 2)] for records in streams]))
            drained(settings)
            assert worker.stop() == 0, worker.tail()
    stored, expected = FactorLog(settings).read(), Expected(streams)

    assert stored.distinct == expected.events
    assert stored.digests() == expected.digests
