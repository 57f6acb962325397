"""The producers' commands as processes: what they print, how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from obflow.metrics import Metrics
from obflow.settings import KafkaSettings, Settings
from producers.broker.publisher import Publisher
from producers.exchanges import EXCHANGES
from producers.messages import Via
from producers.recordings.reader import RecordingReplay
from producers.recordings.recording import Recording
from schemas.errors import DeliveryFailed
from schemas.messages import FeedState, FeedStatus, L2Record, Source
from schemas.topics import FEED_STATUS, L2
from tests.integration.producing import fresh_topics, read_topic
from tests.producers.l2_reader import books_of
from tests.support.patience import patient

pytestmark = pytest.mark.integration

RECORDING = Path(__file__).parents[1] / "recordings" / "binance-futures.frames.jsonl.gz"
OBFLOW = [sys.executable, "-c", "import sys; from obflow.cli import main; sys.exit(main())"]


@contextmanager
def running(*words: str, into: Path | None = None, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A command, what it prints in pipes or in a file; killed at the end if it still runs."""
    with ExitStack() as stack:
        printed = stack.enter_context(into.open("w")) if into else subprocess.PIPE
        process = subprocess.Popen(
            [*OBFLOW, *words], stdout=printed, stderr=printed, text=True, env={**os.environ, **environment}
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=patient(10))


def stop(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=patient(20))
    return process.returncode, out, err


def first_line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


@contextmanager
def simulated(*words: str) -> Iterator[dict[str, str]]:
    """`obflow simulate` as a process; yields its addresses."""
    with running("simulate", "--symbol", "BTCUSDT", "--rate", "100", "--json", *words) as process:
        yield json.loads(first_line(process.stdout))
        code, out, err = stop(process)
        assert code == 0, err
        assert json.loads(out.splitlines()[-1])["stats"]["connections"] >= 1


def test_simulate_produce_and_stop(broker: str) -> None:
    settings = fresh_topics(broker)
    environment = {
        "OBFLOW_KAFKA__BOOTSTRAP_SERVERS": broker,
        "OBFLOW_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
        "OBFLOW_PRODUCER__SOURCE": "simulator",
    }
    with simulated("--gap-every", "1") as where:
        urls = ("--websocket-url", where["websocket_url"], "--rest-url", where["rest_url"])
        with running("produce", "binance-futures", "--symbol", "BTCUSDT", *urls, "--json", **environment) as producer:
            wait_for_deltas(settings, 12)
            code, out, err = stop(producer)
    summary = json.loads(out.splitlines()[-1])
    l2 = read_topic(settings, L2)

    assert code == 0, err
    assert summary["acknowledged"]["l2.v1"] == len(l2)
    assert books_of(l2)["BTCUSDT"].broken == []
    assert read_topic(settings, FEED_STATUS)[-1].state is FeedState.STOPPED


def wait_for_deltas(settings: Settings, count: int) -> None:
    deadline = time.monotonic() + patient(30)
    while sum(isinstance(record, L2Record) for record in read_topic(settings, L2)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_recording_made_by_the_command_replays(tmp_path: Path) -> None:
    path = tmp_path / "live.frames.jsonl.gz"
    with simulated("--disconnect-every", "0.5") as where:
        urls = ("--websocket-url", where["websocket_url"], "--rest-url", where["rest_url"])
        words = ("record", "binance-futures", "--symbol", "BTCUSDT", "--out", str(path), "--for", "8s", "--json")
        with running(*words, *urls) as recorder:
            out, err = recorder.communicate(timeout=patient(60))
    summary = json.loads(out.splitlines()[-1])
    lines = list(Recording(path).frames())
    replay = RecordingReplay(path, EXCHANGES["binance-futures"])
    records = list(replay.records())

    assert recorder.returncode == 0, err
    assert summary["lines"] == len(lines)
    assert (lines[0].via, lines[0].request) == (Via.REST, "/fapi/v1/exchangeInfo")
    assert {Via.CONNECT, Via.DISCONNECT} <= {line.via for line in lines}
    assert all("symbol=BTCUSDT" in line.request for line in lines[1:] if line.via is Via.REST)
    assert replay.found.instruments["BTCUSDT"].tick_size == "0.1"
    book = books_of([record for record in records if isinstance(record, L2Record)])["BTCUSDT"]
    assert book.broken == []
    assert book.deltas > 3


def test_a_simulated_relay_is_recorded_like_one(tmp_path: Path) -> None:
    path, key_file = tmp_path / "live.frames.jsonl.gz", tmp_path / "key"
    key_file.write_text("any")
    with simulated("--venue", "relay:bybit") as where:
        ways = {"OBFLOW_RELAY__BASE_URL": where["relay_url"], "OBFLOW_RELAY__API_KEY_FILE": str(key_file)}
        words = ("record", "relay:bybit", "--symbol", "BTCUSDT", "--out", str(path), "--for", "4s", "--json")
        with running(*words, "--rest-url", where["rest_url"], **ways) as recorder:
            _, err = recorder.communicate(timeout=patient(60))
    records = list(RecordingReplay(path, EXCHANGES["bybit"]).records())

    assert recorder.returncode == 0, err
    book = books_of([record for record in records if isinstance(record, L2Record)])["BTCUSDT"]
    assert book.broken == []
    assert book.deltas > 3


@pytest.mark.exhaustive
def test_a_killed_recorder_leaves_a_readable_file(tmp_path: Path) -> None:
    path = tmp_path / "cut.frames.jsonl.gz"
    with simulated() as where:
        urls = ("--websocket-url", where["websocket_url"], "--rest-url", where["rest_url"])
        with running("record", "binance-futures", "--symbol", "BTCUSDT", "--out", str(path), *urls) as recorder:
            deadline = time.monotonic() + patient(20)
            while not path.exists() or path.stat().st_size < 3_000:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            recorder.kill()
            recorder.wait(patient(10))

    assert len(list(Recording(path).frames())) > 20


def line_with_an_error(stream: Any) -> dict[str, Any]:
    """The next line that says what went wrong; others say what the role has reached."""
    while "error" not in (line := json.loads(first_line(stream))):
        pass
    return dict(line)


@pytest.mark.exhaustive
def test_an_exchange_that_does_not_answer_is_named_and_asked_again(broker: str) -> None:
    settings = fresh_topics(broker)
    environment = {
        "OBFLOW_KAFKA__BOOTSTRAP_SERVERS": broker,
        "OBFLOW_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
    }
    urls = ("--websocket-url", "ws://127.0.0.1:1", "--rest-url", "http://127.0.0.1:1")
    with running("produce", "binance-futures", "--symbol", "BTCUSDT", *urls, **environment) as producer:
        lines = [line_with_an_error(producer.stderr) for _ in range(2)]
        code, _, _ = stop(producer)

    assert code == 0
    for line in lines:
        assert "binance-futures does not answer at http://127.0.0.1:1" in line["error"]
        assert "set producer.rest_url" in line["error"]


UNABLE = [
    (("produce", "binance-futures", "--symbol", "BTCUSDT"), 3, "no Kafka broker answers at 127.0.0.1:1"),
    (("replay", str(RECORDING), "--venue", "binance-futures"), 3, "answers at 127.0.0.1:1 (Connection refused)"),
    (("produce", "binance-futures"), 2, "no instrument is named"),
    (("produce", "binance-future", "--symbol", "X"), 2, "did you mean binance-futures?"),
    (("simulate", "--venue", "kraken"), 2, "does not speak for kraken"),
    (("replay", str(RECORDING), "--venue", "binance-futures", "--speed", "fast"), 2, "--speed fast is no speed"),
    (("replay", str(RECORDING), "--venue", "binance-futures", "--loop-for", "0s"), 2, "0s is no length of time"),
    (("replay", str(RECORDING), "--venue", "binance-futures", "--shift", "then"), 2, "--shift then is not known"),
]


def test_a_command_that_cannot_go_on_says_so_in_one_sentence() -> None:
    environment = {"OBFLOW_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    with ExitStack() as stack:  # side by side: most of a command's time is its start
        started = [stack.enter_context(running(*words, **environment)) for words, _, _ in UNABLE]
        ended = [(process.communicate(timeout=patient(60)), process.returncode) for process in started]

    for (words, code, sentence), ((out, err), returncode) in zip(UNABLE, ended, strict=True):
        assert returncode == code, words
        assert sentence in err
        assert err.count("\n") == 1, words
        assert out == ""


def test_a_record_no_broker_takes_in_time_is_a_failed_delivery() -> None:
    settings = Settings(kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1", outage_seconds=0.5))
    publisher = Publisher(settings, Metrics("producer"), time.time_ns)
    publisher.offer(FeedStatus("v", "S", Source.LIVE, FeedState.LIVE, 1, 0))

    with pytest.raises(DeliveryFailed, match=r"did not take a record of feed-status\.v1"):
        publisher.flush(patient(10))
    publisher.close()
