"""The broker goes away under a live producer: the same process goes on, says little, and no book is wrong after it.

`make test` has its kind in tests/integration/test_processor_broker_away.py.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from embedded.kafka import EmbeddedKafka
from obflow.settings import Settings
from schemas.messages import L2Record
from schemas.topics import L2
from tests.integration.backends import free_port
from tests.integration.producing import fresh_topics, read_topic
from tests.integration.test_database_away import AWAY_S, LINES_A_SECOND, most_a_second
from tests.integration.test_producer_commands import running, simulated, stop
from tests.producers.l2_reader import books_of
from tests.support.patience import patient
from tests.support.servers import started
from tests.support.waiting import eventually

pytestmark = [pytest.mark.exhaustive, pytest.mark.integration, pytest.mark.slow]

AGAIN_S = 30.0


def records(settings: Settings) -> list[L2Record]:
    return [record for record in read_topic(settings, L2) if isinstance(record, L2Record)]


@pytest.mark.usefixtures("own_servers")
def test_a_broker_that_is_away_costs_a_producer_no_book_no_person_and_few_lines(tmp_path: Path) -> None:
    log = tmp_path / "producer.log"
    with started(EmbeddedKafka(tmp_path / "broker", port=free_port())) as broker, simulated() as where:
        settings = fresh_topics(broker.bootstrap)
        environment = {
            "OBFLOW_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap,
            "OBFLOW_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
            "OBFLOW_PRODUCER__SOURCE": "simulator",
        }
        urls = ("--websocket-url", where["websocket_url"], "--rest-url", where["rest_url"])
        words = ("produce", "binance-futures", "--symbol", "BTCUSDT", *urls)
        with running(*words, into=log, **environment) as producer:
            assert eventually(lambda: len(records(settings)) > 20, patient(30)), log.read_text()
            lines = len(log.read_text().splitlines())
            broker.kill()
            time.sleep(AWAY_S)
            assert producer.poll() is None, log.read_text()
            told = log.read_text().splitlines()[lines:]
            broker.start()
            back_s, gone_ns = time.monotonic(), time.time_ns()
            assert eventually(lambda: records(settings)[-1].received_ns > gone_ns, patient(AGAIN_S)), log.read_text()
            again_s = time.monotonic() - back_s
            code = stop(producer)[0]
        found = records(settings)
    most = most_a_second(told)
    print(f"away {AWAY_S:.0f} s: {len(told)} lines, most in a second {most}; published after {again_s:.1f} s")  # noqa: T201

    assert code == 0, log.read_text()
    assert len(told) <= LINES_A_SECOND * AWAY_S
    assert books_of(found)["BTCUSDT"].broken == []
    assert {record.epoch for record in found} == {found[0].epoch}
