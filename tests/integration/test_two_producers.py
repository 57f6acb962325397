"""Two producers of one instrument start in the same moment: one goes on, the other says why it does not.

`make test` has its kind in tests/integration/test_guard.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable

import pytest

from obflow.settings import Settings
from schemas.messages import TradeRecord
from schemas.topics import TRADES
from tests.integration.producing import fresh_topics, read_topic
from tests.integration.test_producer_commands import simulated, stop
from tests.support.patience import patient
from tests.support.waiting import eventually

pytestmark = [pytest.mark.exhaustive, pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

ROUNDS = 2
TRADES_AFTERWARDS = 10
HEAD_START_S = 6.0
"""Until then both have imported what they need, on a busy machine too."""
AT_ONCE = """
import sys, time
import obflow.metrics, producers.commands, producers.live.run, producers.exchanges
from obflow.cli import main
time.sleep(max(0.0, float(sys.argv[1]) - time.time()))
sys.exit(main(sys.argv[2:]))
"""


def produce_at(moment_s: float, settings: Settings, where: dict[str, str]) -> subprocess.Popen[str]:
    """A producer that begins at that wall-clock second."""
    words = ["produce", "binance-futures", "--symbol", "BTCUSDT", "--symbol", "ETHUSDT"]
    urls = ["--websocket-url", where["websocket_url"], "--rest-url", where["rest_url"]]
    environment = {
        "OBFLOW_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "OBFLOW_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
        "OBFLOW_PRODUCER__SOURCE": "simulator",
    }
    return subprocess.Popen(
        [sys.executable, "-c", AT_ONCE, str(moment_s), *words, *urls],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def trades_of(settings: Settings) -> list[TradeRecord]:
    return read_topic(settings, TRADES)


def wait_until(what: str, condition: Callable[[], bool], seconds: float) -> None:
    assert eventually(condition, seconds), f"not within {seconds} s: {what}"


def test_of_two_that_start_together_one_remains_and_no_trade_is_there_twice(broker: str) -> None:
    winners: Counter[int] = Counter()
    with simulated("--symbol", "ETHUSDT") as where:
        for number in range(ROUNDS):
            settings = fresh_topics(broker)
            moment_s = time.time() + HEAD_START_S
            both = [produce_at(moment_s, settings, where) for _ in range(2)]
            try:
                wait_until("one of them gives way", lambda: any(one.poll() is not None for one in both), 60)  # noqa: B023
                [loser] = [one for one in both if one.poll() is not None]
                [winner] = [one for one in both if one is not loser]
                begun = len(trades_of(settings))
                wait_until("the other goes on", lambda: len(trades_of(settings)) >= begun + TRADES_AFTERWARDS, 60)  # noqa: B023
                assert winner.poll() is None
                code, _, error = stop(winner)
                assert code == 0, error
                _, said = loser.communicate(timeout=patient(10))
                assert loser.returncode == 2, said
                assert "is produced into these topics right now (source simulator)" in said.splitlines()[-1], said
            finally:
                for one in both:
                    if one.poll() is None:
                        one.kill()
                    one.communicate(timeout=patient(10))
            found = Counter((trade.symbol, trade.trade_id) for trade in trades_of(settings))
            assert set(found.values()) == {1}, f"round {number}: {found.most_common(3)}"
            winners[both.index(winner)] += 1
    print(f"{ROUNDS} starts: {dict(winners)} went on, no trade twice")  # noqa: T201
