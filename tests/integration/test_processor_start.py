"""What a worker says where it cannot start, and how soon it works where it can."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from obflow.settings import Settings
from tests.integration.backends import free_port
from tests.integration.processing import OBFLOW, PARTITIONS, interleaved, pipeline, publish, until, workers
from tests.integration.test_processor import streams_of
from tests.support.patience import patient

pytestmark = pytest.mark.integration


def refused(**settings: object) -> tuple[int, str]:
    flags = [f"--set={key.replace('__', '.')}={value}" for key, value in settings.items()]
    ended = subprocess.run([*OBFLOW, "process", *flags], capture_output=True, text=True, timeout=patient(60))
    sentences = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert len(sentences) == 1, ended.stderr
    return ended.returncode, sentences[0]


def test_without_a_broker_it_says_so_and_how_to_get_one() -> None:
    code, sentence = refused(kafka__bootstrap_servers=f"127.0.0.1:{free_port()}")

    assert code == 3
    assert sentence.startswith("obflow: no Kafka broker answers at 127.0.0.1:")
    assert "`obflow kafka`" in sentence


def test_without_its_topics_it_names_them_and_the_command_that_creates_them(broker: str) -> None:
    code, sentence = refused(kafka__bootstrap_servers=broker, kafka__topic_prefix="nowhere.")

    assert code == 3
    assert "nowhere.l2.v1" in sentence
    assert "`obflow topics apply`" in sentence


def test_with_another_number_of_partitions_it_does_not_begin(broker: str) -> None:
    settings = pipeline(broker)
    prefix, other = settings.kafka.topic_prefix, PARTITIONS + 1
    code, sentence = refused(kafka__bootstrap_servers=broker, kafka__topic_prefix=prefix, kafka__partitions=other)

    assert code == 1
    assert f"{prefix}l2.v1: partitions is {PARTITIONS}, declared {other}" in sentence


@pytest.mark.exhaustive
def test_with_an_app_id_of_its_own_it_needs_a_changelog_of_its_own(broker: str) -> None:
    settings = pipeline(broker)
    prefix = settings.kafka.topic_prefix
    code, sentence = refused(
        kafka__bootstrap_servers=broker,
        kafka__topic_prefix=prefix,
        kafka__partitions=settings.kafka.partitions,
        processor__app_id="other",
    )

    assert code == 3
    assert f"no topic {prefix}other-books-changelog" in sentence


@pytest.mark.exhaustive
def test_a_misspelt_fault_point_is_refused(broker: str, tmp_path: Path) -> None:
    with workers(pipeline(broker), tmp_path) as start:
        worker = start(OBFLOW_FAULT_FAIL_SENT="1")
        assert worker.process.wait(patient(30)) == 2
        assert "OBFLOW_FAULT_FAIL_SENT" in worker.tail()


def test_a_worker_processes_within_seconds_of_its_start_and_shows_what_it_does(broker: str, tmp_path: Path) -> None:
    settings: Settings = pipeline(broker)
    port = free_port()
    sent = publish(settings, interleaved(streams_of(seed=500, instruments=4, records=50)))
    started = time.monotonic()
    with workers(settings, tmp_path) as start:
        worker = start(OBFLOW_METRICS__PORT=str(port))
        until(lambda: _shown(port, "obflow_received_total") == sent, 30, worker.tail)
        seconds = time.monotonic() - started
        until(lambda: _shown(port, "obflow_emitted_total") > 0 and _shown(port, "obflow_books") == 4, 10, worker.tail)
        assert worker.stop() == 0

    assert seconds < patient(15), f"{seconds:.1f} s from start to the last of {sent} records"


def _shown(port: int, metric: str) -> float:
    """Sum over the labels; 0 while nobody serves the page."""
    try:
        page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=patient(5)).read().decode()
    except OSError:
        return 0.0
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(metric + "{"))
