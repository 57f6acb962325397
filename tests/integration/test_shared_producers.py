"""Several producers of one venue with a lease: each instrument has one at a time, whatever happens to the others."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path

import pytest

from obflow.settings import Settings
from orderbook.validity import Outcome, TrackedBook
from schemas.messages import Kind, L2Record, Status
from schemas.topics import FACTORS, L2, TRADES
from tests.integration.producing import fresh_topics, read_positions, read_topic
from tests.integration.test_producer_commands import running, simulated, stop
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

VENUE = "binance-futures"
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT", "ADAUSDT")
PARTITIONS = 8
TAKEN_OVER_S = 15.0
"""Within so long on an idle machine instruments of a producer that was killed are LIVE again through another one."""
START_S = 40.0


class Shared:
    """Producers that share, and what they wrote."""

    def __init__(self, settings: Settings, where: dict[str, str], stack: ExitStack) -> None:
        self.settings = settings
        self._where = where
        self._stack = stack

    def start(self, *words: str, share: str = "lease", into: Path | None = None) -> subprocess.Popen[str]:
        """One more, as a process; what it logs in a file."""
        named = words or tuple(word for symbol in SYMBOLS for word in ("--symbol", symbol))
        urls = ("--websocket-url", self._where["websocket_url"], "--rest-url", self._where["rest_url"])
        return self._run("produce", VENUE, *named, *urls, "--share", share, into=into)

    def start_processor(self) -> subprocess.Popen[str]:
        """A worker that makes factors of what they write."""
        return self._run("process")

    def _run(self, *words: str, into: Path | None = None) -> subprocess.Popen[str]:
        environment = {
            "OBFLOW_KAFKA__BOOTSTRAP_SERVERS": self.settings.kafka.bootstrap_servers,
            "OBFLOW_KAFKA__TOPIC_PREFIX": self.settings.kafka.topic_prefix,
            "OBFLOW_KAFKA__PARTITIONS": str(PARTITIONS),
            "OBFLOW_PRODUCER__SOURCE": "simulator",
            "OBFLOW_METRICS__PORT": "0",
        }
        return self._stack.enter_context(running(*words, into=into, **environment))

    def factor_offsets(self) -> list[tuple[str, int]]:
        """Of which record of which book there is a factor event that may be believed."""
        return [
            (record.symbol, event.source_offset)
            for record in read_topic(self.settings, FACTORS)
            for event in record.events
            if event.status is Status.OK
        ]

    def fenced_offsets(self) -> set[tuple[str, int]]:
        """Where records lie that no reader applies, since another producer's epoch was there before."""
        books: dict[str, TrackedBook] = defaultdict(TrackedBook)
        return {
            (record.symbol, offset)
            for record, _, offset in read_positions(self.settings, L2)
            if isinstance(record, L2Record) and books[record.symbol].apply(record) is Outcome.IGNORED_OLD_EPOCH
        }

    def log(self) -> dict[str, list[L2Record]]:
        """What was written of each book, in order."""
        found: dict[str, list[L2Record]] = defaultdict(list)
        for record in read_topic(self.settings, L2):
            found[record.symbol].append(record)
        return found

    def owners(self) -> dict[str, str]:
        """Whose the newest delta of each book is: a run."""
        return {
            symbol: deltas[-1].run
            for symbol, records in self.log().items()
            if (deltas := [record for record in records if record.kind is Kind.DELTA])
        }

    def wait(self, what: str, holds: Callable[[dict[str, str]], bool], seconds: float = START_S) -> dict[str, str]:
        """Wait until something holds of the owners."""
        assert eventually(lambda: holds(self.owners()), seconds), f"not within {seconds} s: {what}; {self.owners()}"
        return self.owners()

    def wait_for_all(self) -> dict[str, str]:
        return self.wait("all are produced", lambda owners: owners.keys() == set(SYMBOLS))

    def wait_for_share(self, others: set[str]) -> dict[str, str]:
        """Wait until a run that is none of these has something, and all is produced."""
        return self.wait(
            "another one has its share",
            lambda owners: owners.keys() == set(SYMBOLS) and len(set(owners.values()) - others) == 1,
        )

    def check(self, owners: int, *, is_fenced: bool = False) -> None:
        """Nothing is there twice, and books change hands no more often than said: nobody writes beside another.

        Args:
            owners: How often at most an instrument has had an owner.
            is_fenced: What a sleeper wrote may lie between another's records; then no reader applies it.
        """
        trades = Counter((trade.symbol, trade.trade_id) for trade in read_topic(self.settings, TRADES))
        assert trades
        assert set(trades.values()) == {1}, trades.most_common(3)
        for symbol, records in self.log().items():
            book, applied = TrackedBook(), list[L2Record]()
            for record in records:
                outcome = book.apply(record)
                assert outcome is not Outcome.BROKE, (symbol, record.run, record.kind)
                if outcome is not Outcome.IGNORED_OLD_EPOCH or not is_fenced:
                    applied.append(record)
            assert book.is_live, symbol
            deltas = Counter((one.epoch, one.sequence) for one in applied if one.kind is Kind.DELTA)
            assert max(deltas.values()) == 1
            hands = [run for run, _ in groupby(record.run for record in applied)]
            assert len(hands) <= owners, (symbol, hands)


@contextmanager
def shared(broker: str) -> Iterator[Shared]:
    words = [word for symbol in SYMBOLS[1:] for word in ("--symbol", symbol)]
    with simulated(*words) as where, ExitStack() as stack:
        yield Shared(fresh_topics(broker, partitions=PARTITIONS), where, stack)


@pytest.mark.exhaustive
def test_one_then_two_then_one_produce_each_instrument_once_and_without_a_hole(broker: str) -> None:
    with shared(broker) as producers:
        first = producers.start()
        [alone] = set(producers.wait_for_all().values())
        second = producers.start()
        owners = producers.wait_for_share({alone})
        assert set(owners.values()) > {alone}, "the first one keeps a part"
        code, _, error = stop(second)
        assert code == 0, error
        producers.wait("the first has all again", lambda owners: set(owners.values()) == {alone})
        assert first.poll() is None
        producers.check(owners=3)


def test_instruments_of_a_killed_producer_live_again_through_the_other(broker: str) -> None:
    with shared(broker) as producers:
        killed = producers.start()
        [its_run] = set(producers.wait_for_all().values())
        producers.start()
        owners = producers.wait_for_share({its_run})
        [other] = set(owners.values()) - {its_run}
        orphans = {symbol for symbol, run in owners.items() if run == its_run}
        assert orphans
        killed.kill()
        at = time.monotonic()
        producers.wait("the other has all", lambda owners: set(owners.values()) == {other}, TAKEN_OVER_S)
        print(f"{len(orphans)} books live again after {time.monotonic() - at:.1f} s")  # noqa: T201
        producers.check(owners=2)


@pytest.mark.exhaustive
def test_what_a_suspended_producer_writes_when_it_wakes_is_applied_by_nobody(broker: str, tmp_path: Path) -> None:
    with shared(broker) as producers:
        producers.start_processor()
        sleeper = producers.start(into=tmp_path / "sleeper.log")
        [its_run] = set(producers.wait_for_all().values())
        producers.start()
        owners = producers.wait_for_share({its_run})
        [other] = set(owners.values()) - {its_run}
        os.kill(sleeper.pid, signal.SIGSTOP)
        try:
            producers.wait("the other has all", lambda owners: set(owners.values()) == {other}, TAKEN_OVER_S)
            before = producers.log()
        finally:
            os.kill(sleeper.pid, signal.SIGCONT)
        producers.wait("the sleeper has a share again", lambda owners: its_run in owners.values())
        after = producers.log()
        for symbol, records in after.items():
            woken = [record for record in records[len(before[symbol]) :] if record.run == its_run]
            epoch = max(record.epoch for record in before[symbol])
            stale = [record for record in woken if record.epoch <= epoch]
            book = TrackedBook()
            applied = {id(record) for record in records if book.apply(record) is not Outcome.IGNORED_OLD_EPOCH}
            assert not [record for record in stale if id(record) in applied], (symbol, stale)
        assert sleeper.poll() is None
        producers.check(owners=4, is_fenced=True)
        ends = {record.symbol: offset for record, _, offset in read_positions(producers.settings, L2)}

        def all_made() -> bool:
            made = dict(sorted(producers.factor_offsets()))
            return all(made.get(symbol, -1) >= end for symbol, end in ends.items())

        assert eventually(all_made, START_S), "factors are made of what the new owners write"
        offsets = producers.factor_offsets()
        assert len(offsets) == len(set(offsets)), "no factor is there twice"
        assert not set(offsets) & producers.fenced_offsets()
        assert "lease_overdue" in (tmp_path / "sleeper.log").read_text()


@pytest.mark.exhaustive
def test_fixed_parts_cover_every_instrument_once(broker: str) -> None:
    with shared(broker) as producers:
        producers.start(share="1/2")
        producers.start(share="2/2")
        owners = producers.wait_for_all()
        assert len(set(owners.values())) == 2
        producers.check(owners=1)
        assert {len({record.run for record in records}) for records in producers.log().values()} == {1}


@pytest.mark.exhaustive
def test_all_of_a_currency_are_shared_too(broker: str) -> None:
    with shared(broker) as producers:
        producers.start("--quote", "USDT")
        [alone] = set(producers.wait_for_all().values())
        producers.start("--quote", "USDT")
        producers.wait_for_share({alone})
        producers.check(owners=2)
