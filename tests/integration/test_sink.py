"""A sink between a real broker and a real engine: what is on the log is in the table, once, whatever dies meanwhile."""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
import structlog
from confluent_kafka.admin import NewTopic

from embedded.clickhouse import EmbeddedClickHouse
from obflow import kafka, kafka_logs, topics
from obflow.cli import main
from obflow.metrics import Metrics
from obflow.settings import ClickHouseSettings, Settings
from schemas.codec import encode
from schemas.digest import digest
from schemas.errors import DecodeError, SchemaMismatch, TopicMismatch
from schemas.logs import Position
from schemas.messages import DeadLetter, FactorEvent, FactorRecord, Kind, L2Record, Record, Source
from schemas.topics import DEAD_LETTERS, FACTORS, FEED_STATUS, L2, TRADES, Topic
from sinks import service
from sinks.contract import Row, selection
from sinks.counts import Counts
from sinks.store import Store
from sinks.tables import TABLES
from tests.integration.sinking import Feed, Sink, opened, pipeline, read_all, run_until, wait_for
from tests.schemas.examples import EXAMPLES, load
from tests.sinks.records import event, event_of, factors
from tests.support.patience import patient

pytestmark = pytest.mark.integration

KILLED = ("--table=factors", "--table=dead_letters")
"""What the sinks feed that are killed: fewer tables, and so faster starts."""


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """Commands run in this process send logs to the stream of their test, which is closed after it."""
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def settings(broker: str, clickhouse: ClickHouseSettings) -> Settings:
    """A pipeline of the test's own."""
    return pipeline(broker, clickhouse)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with opened(settings.clickhouse) as found:
        yield found


def rows_of(store: Store, table: str) -> int:
    final = " FINAL" if table == "dead_letters" else ""
    return int(store.query(f"SELECT count() FROM {table}{final}")[0][0])  # noqa: S608 (our own names)


def stored_events(store: Store) -> dict[str, list[FactorEvent]]:
    """Every stored event by symbol, in source order, as a plain SELECT gives it."""
    rows = store.query(f"SELECT {selection(TABLES['factors'])} FROM factors ORDER BY source_partition, source_offset")  # noqa: S608
    found: dict[str, list[FactorEvent]] = {}
    for row in rows:
        found.setdefault(row[1], []).append(event_of(row))
    return found


def test_every_table_is_fed_and_a_stopped_sink_has_written_what_it_read(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    trade = load(EXAMPLES / "trades/v1/buy.json")
    status = load(EXAMPLES / "feed-status/v1/invalid.json")
    letter = load(EXAMPLES / "dead-letters/v1/frame.json")
    words = [f"--table={name}" for name in ("factors", "trades", "feed_status", "dead_letters")]
    with Sink(settings, tmp_path / "sink.log", "--json", *words) as sink:
        to_send: dict[Topic, list[Record]] = {
            FACTORS: [factors("A", [0, 1, 2]), factors("B", [3])],
            TRADES: [trade, trade],
            FEED_STATUS: [status, msgspec.structs.replace(status, heartbeat=True)],
            DEAD_LETTERS: [letter, letter],
        }
        for topic, records in to_send.items():
            feed = Feed(settings, topic)
            for record in records:
                feed.send(record)
            feed.flush()
        wait_for(lambda: rows_of(store, "factors") == 4 and rows_of(store, "dead_letters") == 1, 20, "rows")
        wait_for(lambda: rows_of(store, "trades") == 2 and rows_of(store, "feed_status") == 1, 20, "rows")
        code, seconds = sink.stop()
        result = sink.result()

    assert (code, seconds < patient(5.0)) == (0, True), sink.log
    assert result["factors"]["rows"] == 4
    assert {name: counts["records"] for name, counts in result.items()} == {
        "factors": 2,
        "trades": 2,
        "feed_status": 2,
        "dead_letters": 2,
    }


def test_what_a_sink_does_is_on_its_metrics_page(settings: Settings) -> None:
    feed = Feed(settings, FACTORS)
    feed.send(factors("A", [0, 1]))
    feed.send(factors("A", [1, 2]))
    feed.flush()
    metrics = Metrics("sink")
    run_until(settings, read_all(2), "factors", metrics=metrics)

    assert metrics.value("obflow_stored_total", table="factors") == 3
    assert sum(metrics.value("obflow_repeated_total", state=state) for state in ("equal", "unchecked")) == 1
    assert metrics.value("obflow_received_total", source=FACTORS.name) == 2


def test_progress_is_committed_for_those_who_watch_the_group(settings: Settings, store: Store) -> None:
    feed = Feed(settings, FACTORS)
    for n in range(30):
        feed.send(factors(f"S{n % 5}", [n]))
    feed.flush()
    run_until(settings, lambda counts: counts["factors"].rows >= 30, "factors")
    name = topics.topic_name(settings, FACTORS)

    committed = kafka_logs.committed_offsets(settings, settings.sink.group, [name])
    ends = {key: end for key, end in kafka_logs.end_offsets(settings, [name]).items() if end}
    assert {key: committed.get(key, 0) for key in ends} == ends


@pytest.mark.exhaustive
def test_what_a_killed_sink_stored_and_did_not_commit_the_next_commits(settings: Settings, store: Store) -> None:
    feed = Feed(settings, FACTORS)
    feed.send(factors("A", [0]))
    feed.flush()
    run_until(settings, read_all(1), "factors")
    stranger = settings.sink.model_copy(update={"group": f"{settings.sink.group}-that-was-told-nothing"})
    settings = settings.model_copy(update={"sink": stranger})
    name = topics.topic_name(settings, FACTORS)

    def is_told() -> bool:
        committed = kafka_logs.committed_offsets(settings, settings.sink.group, [name])
        ends = {place: end for place, end in kafka_logs.end_offsets(settings, [name]).items() if end}
        return bool(ends) and {place: committed.get(place) for place in ends} == ends

    assert not is_told()
    run_until(settings, lambda counts: is_told(), "factors")


def test_a_sink_started_again_reads_on_from_the_table(settings: Settings, store: Store) -> None:
    feed = Feed(settings, FACTORS)
    for n in range(20):
        feed.send(factors("A", [n]))
    feed.flush()
    run_until(settings, read_all(20), "factors")
    for n in range(20, 25):
        feed.send(factors("A", [n]))
    feed.flush()
    counts = run_until(settings, read_all(5), "factors")

    assert counts["factors"].records == 5
    assert stored_events(store) == {"A": [event(n) for n in range(25)]}


def test_events_sent_again_are_dropped_and_compared_to_the_bit(settings: Settings, store: Store) -> None:
    feed = Feed(settings, FACTORS)
    feed.send(factors("A", [0, 1, 2]))
    feed.send(factors("B", [3, 4]))
    feed.flush()
    run_until(settings, read_all(2), "factors")
    feed.send(factors("A", [1, 2, 5]))
    feed.flush()
    counts = run_until(settings, read_all(1), "factors")["factors"]
    assert (counts.rows, counts.repeated, counts.equal, counts.different) == (1, 2, 2, 0)

    other = msgspec.structs.replace(event(5), values=(0.1 + 0.2, *event(5).values[1:]))
    feed.send(msgspec.structs.replace(factors("A", [5]), events=[other]))
    feed.flush()
    counts = run_until(settings, read_all(1), "factors")["factors"]
    assert (counts.rows, counts.repeated, counts.equal, counts.different) == (0, 1, 0, 1)
    assert stored_events(store)["A"] == [event(n) for n in (0, 1, 2, 5)]


@pytest.mark.exhaustive
def test_a_fresh_log_beside_a_kept_database_simply_starts(settings: Settings, store: Store) -> None:
    feed = Feed(settings, FACTORS)
    for n in range(10):
        feed.send(factors("A", [n]))
    feed.flush()
    run_until(settings, read_all(10), "factors")
    recreate(settings)
    feed = Feed(settings, FACTORS)
    for n in range(4):
        feed.send(factors("A", [n], source_log="another2"))
    feed.flush()
    counts = run_until(settings, read_all(4), "factors")

    assert counts["factors"].rows == 4
    assert store.query("SELECT uniqExact(k_log), count() FROM factors") == [(2, 14)]


@pytest.mark.exhaustive
@pytest.mark.case("topic-made-anew")
def test_a_topic_made_anew_and_filled_while_a_sink_was_away_is_read_from_its_start(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    def fill(count: int, log: str) -> None:
        feed = Feed(settings, FACTORS)
        for n in range(count):
            feed.send(factors("A", [n], source_log=log))
        feed.flush()

    def of_logs() -> list[tuple[int, int, int]]:
        return sorted(store.query("SELECT count(), min(k_off), max(k_off) FROM factors GROUP BY k_log"))

    fill(6, "another1")
    with Sink(settings, tmp_path / "log", *KILLED) as sink:
        wait_for(lambda: of_logs() == [(6, 0, 5)], 90, "the old log")
        sink.process.send_signal(signal.SIGSTOP)
        recreate(settings)
        fill(40, "another2")
        sink.process.send_signal(signal.SIGCONT)
        wait_for(lambda: of_logs() == [(6, 0, 5), (40, 0, 39)], 90, "the new log")
        assert "was made anew" in sink.log
        assert sink.stop()[0] == 0


@pytest.mark.case("topic-made-anew")
def test_a_topic_made_anew_narrower_while_a_sink_slept_has_no_foreign_records(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    """By the old log's number of partitions most of them lie elsewhere."""
    names = [f"S{number}" for number in range(8)]

    def fill(count: int, log: str) -> None:
        feed = Feed(settings, FACTORS)
        for n in range(count):
            for name in names:
                feed.send(factors(name, [n], source_log=log))
        feed.flush()

    def rows() -> list[int]:
        return sorted(count for (count,) in store.query("SELECT count() FROM factors GROUP BY k_log"))

    fill(3, "another1")
    with Sink(settings, tmp_path / "log", "--table=factors") as sink:
        wait_for(lambda: rows() == [24], 90, "the old log")
        sink.process.send_signal(signal.SIGSTOP)
        recreate(settings, partitions=1)
        fill(40, "another2")
        sink.process.send_signal(signal.SIGCONT)
        wait_for(lambda: rows() == [24, 320], 90, "the new log")
        assert sink.stop()[0] == 0
    letters = topics.topic_name(settings, DEAD_LETTERS)
    assert sum(kafka_logs.end_offsets(settings, [letters]).values()) == 0
    assert "record_refused" not in sink.log
    assert "was made anew" in sink.log


def recreate(settings: Settings, partitions: int = 0) -> None:
    name = topics.topic_name(settings, FACTORS)
    client = kafka.admin(settings)
    client.delete_topics([name])[name].result(patient(20))
    wait_for(lambda: name not in client.list_topics(timeout=patient(10)).topics, 20, "the topic's deletion")
    if partitions:
        client.create_topics([NewTopic(name, partitions)])[name].result(patient(20))
    else:
        topics.apply(settings)


def test_a_record_that_does_not_decode_is_dead_lettered_and_the_partition_goes_on(
    settings: Settings, store: Store
) -> None:
    feed = Feed(settings, TRADES)
    trade = load(EXAMPLES / "trades/v1/buy.json")
    for payload in (encode(trade), b"\x00\x00\x00\x00\x02cut", b"", encode(factors("A", [1])), encode(trade)):
        feed.send_bytes(payload, key="binance-futures:BTCUSDT")
    feed.flush()
    run_until(settings, lambda counts: counts["trades"].rows >= 2 and counts["dead_letters"].rows >= 3)
    found = store.query(
        "SELECT letter_id, role, reason, source_topic, source_partition, source_offset, hex(payload), payload_bytes "
        "FROM dead_letters FINAL ORDER BY source_offset"
    )
    name = topics.topic_name(settings, TRADES)
    topic_id = kafka_logs.topic_ids(settings, [name])[name]

    [partition] = {row[4] for row in found}
    assert [(row[0], row[5]) for row in found] == [(f"{topic_id}:{partition}:{n}", n) for n in (1, 2, 3)]
    assert {row[1:4] for row in found} == {("sink", "DecodeError", name)}
    assert bytes.fromhex(found[0][6]) == b"\x00\x00\x00\x00\x02cut"
    assert found[1][7] == 0
    assert rows_of(store, "trades") == 2


@pytest.mark.exhaustive
def test_a_dead_letter_that_does_not_decode_is_a_letter_and_goes_round_no_more(
    settings: Settings, store: Store
) -> None:
    feed = Feed(settings, DEAD_LETTERS)
    feed.send_bytes(b"not a letter", key="x")
    feed.flush()
    run_until(settings, lambda counts: counts["dead_letters"].rows >= 1, "dead_letters")
    again = run_until(settings, lambda counts: counts["dead_letters"].lags != {}, "dead_letters")

    assert again["dead_letters"].records == 0
    assert store.query("SELECT reason, source_topic FROM dead_letters FINAL") == [
        ("DecodeError", topics.topic_name(settings, DEAD_LETTERS))
    ]


def test_a_record_whose_row_is_refused_is_a_letter_and_every_other_row_is_stored(
    settings: Settings, store: Store
) -> None:
    store.command("ALTER TABLE factors ADD CONSTRAINT test CHECK source_offset != 7")
    feed = Feed(settings, FACTORS)
    for n in range(0, 20, 2):
        feed.send(factors("A", [n, n + 1]))
    feed.flush()
    run_until(settings, lambda counts: counts["factors"].rows >= 19 and counts["dead_letters"].rows >= 1)

    assert [found.source_offset for found in stored_events(store)["A"]] == [n for n in range(20) if n != 7]
    assert store.query("SELECT symbol, reason, source_topic FROM dead_letters FINAL") == [
        ("A", "ImpossibleRecord", topics.topic_name(settings, FACTORS))
    ]


def test_a_mended_record_sent_again_is_stored_once_though_later_ones_are_stored(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = TABLES["factors"]
    feed = Feed(settings, FACTORS)
    for n in range(3):
        feed.send(factors("A", [10 * n, 10 * n + 1]))
    feed.flush()
    make_rows = table.rows

    def broken(record: FactorRecord, position: Position) -> list[Row]:
        if position.offset == 1:
            raise DecodeError("this version has a bug")
        return make_rows(record, position)

    monkeypatch.setitem(table.__dict__, "rows", broken)
    monkeypatch.setattr(service, "decoder_of", lambda tables, cache: None)  # which makes rows without the mistake
    run_until(settings, lambda counts: counts["factors"].rows >= 4 and counts["dead_letters"].rows >= 1)
    monkeypatch.undo()
    [(letter_id,)] = store.query("SELECT letter_id FROM dead_letters FINAL")
    assert [found.source_offset for found in stored_events(store)["A"]] == [0, 1, 20, 21]

    for _ in range(2):  # doing it twice stores it once
        assert main(["dead-letters", "redrive", letter_id, *flags(settings)]) == 0
        run_until(settings, read_all(1), "factors")
        assert stored_events(store) == {"A": [event(n) for n in (0, 1, 10, 11, 20, 21)]}
    assert "again" in capsys.readouterr().out


def flags(settings: Settings) -> list[str]:
    shown = {
        "kafka.bootstrap_servers": settings.kafka.bootstrap_servers,
        "kafka.topic_prefix": settings.kafka.topic_prefix,
        "clickhouse.host": settings.clickhouse.host,
        "clickhouse.port": settings.clickhouse.port,
        "clickhouse.database": settings.clickhouse.database,
        "clickhouse.password": settings.clickhouse.password.get_secret_value(),
    }
    return [f"--set={key}={value}" for key, value in shown.items()]


@pytest.mark.exhaustive
def test_letters_are_listed_shown_and_refused_where_a_second_sending_makes_no_sense(
    settings: Settings, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    trades = topics.topic_name(settings, TRADES)
    l2 = L2Record("binance", "A", Source.LIVE, Kind.SNAPSHOT, 1, 1, 1, "0.1", "1")
    cut = DeadLetter("a:0:1", "sink", "DecodeError", "no", 1, b"ab", 3, source_topic=trades)
    book = DeadLetter(
        "a:0:2",
        "sink",
        "DecodeError",
        "no",
        1,
        encode(l2),
        len(encode(l2)),
        source_topic=topics.topic_name(settings, L2),
    )
    bad = DeadLetter("a:0:3", "sink", "DecodeError", "no", 1, b"ab", 2, source_topic=trades)
    frame = DeadLetter("binance:1:17", "sink", "DecodeError", "no", 1, b"{", 1)
    feed = Feed(settings, DEAD_LETTERS)
    for letter in (cut, book, bad, frame):
        feed.send_bytes(encode(letter), key=letter.letter_id)
    feed.flush()
    run_until(settings, lambda counts: counts["dead_letters"].rows >= 4, "dead_letters")

    assert main(["dead-letters", "list", "--topic", trades, "--json", *flags(settings)]) == 0
    listed = msgspec.json.decode(capsys.readouterr().out.splitlines()[-1])["letters"]
    assert {letter["letter_id"]: letter["is_cut"] for letter in listed} == {"a:0:1": True, "a:0:3": False}
    assert main(["dead-letters", "show", "a:0:3", "--json", *flags(settings)]) == 0
    assert msgspec.json.decode(capsys.readouterr().out.splitlines()[-1])["letters"][0]["payload_hex"] == b"ab".hex()
    for letter_id, sentence in {
        "a:0:1": "half a record",
        "a:0:2": "need it in order",
        "a:0:3": "as unreadable as before",
        "binance:1:17": "about a frame",
        "nobody": "there is no letter nobody",
    }.items():
        assert main(["dead-letters", "redrive", letter_id, *flags(settings)]) == 2
        assert sentence in capsys.readouterr().err


def test_a_sink_without_its_table_or_topic_says_what_to_do(
    broker: str, clickhouse: ClickHouseSettings, settings: Settings, store: Store
) -> None:
    store.command("ALTER TABLE factors DROP COLUMN mid")
    with pytest.raises(SchemaMismatch, match=r"column factors.mid does not exist.*obflow tables apply"):
        run_until(settings, lambda counts: False, "factors")
    elsewhere = settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"topic_prefix": "nowhere."})})
    with pytest.raises(TopicMismatch, match="obflow topics apply"):
        run_until(elsewhere, lambda counts: False, "trades")


@pytest.mark.exhaustive
def test_an_older_sink_goes_on_beside_a_column_it_does_not_know(settings: Settings, store: Store) -> None:
    store.command("ALTER TABLE factors ADD COLUMN newer Nullable(Float64)")
    feed = Feed(settings, FACTORS)
    feed.send(factors("A", [0]))
    feed.flush()
    run_until(settings, read_all(1), "factors")

    assert stored_events(store) == {"A": [event(0)]}


class Resender:
    """What processors send: events of many instruments, in records of any size, sent again after each crash.

    Args:
        settings: Where.
        instruments: How many.
        seed: Of the crashes and the packing.
    """

    def __init__(self, settings: Settings, instruments: int, seed: int) -> None:
        self.events = {f"S{n:02d}": 0 for n in range(instruments)}
        self.resent = 0
        self.poison = 0
        self._feed = Feed(settings, FACTORS)
        self._random = random.Random(seed)

    def run(self, stop: threading.Event) -> None:
        """Send about a thousand events a second until told to stop."""
        while not stop.wait(0.1):
            for symbol in self._random.sample(list(self.events), 6):
                self._send_some(symbol)
            self._feed.flush()

    def _send_some(self, symbol: str) -> None:
        start = self.events[symbol]
        if self._random.random() < 0.05:
            again = min(start, self._random.randint(1, 60))  # a worker died: its successor begins at a checkpoint
            start, self.resent = start - again, self.resent + again
        end = start + self._random.choice((1, 1, 3, 17, 64))
        self._feed.send(factors(symbol, list(range(start, end)), partition=int(symbol[1:]) % 8))
        self.events[symbol] = max(self.events[symbol], end)
        if self._random.random() < 0.01:
            self._feed.send_bytes(b"\x00poison", key=f"binance-futures:{symbol}")
            self.poison += 1


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.usefixtures("own_servers")
def test_kills_of_the_sink_and_of_the_engine_lose_nothing_and_double_nothing(broker: str, tmp_path: Path) -> None:
    """Killed again and again while a source sends events twice: a plain SELECT has each exactly once, to the bit."""
    kills = random.Random(20)
    with EmbeddedClickHouse(tmp_path / "engine") as engine:
        where = ClickHouseSettings(host=engine.host, port=engine.port, database="killed")
        settings = pipeline(broker, where)
        sender = Resender(settings, instruments=24, seed=7)
        enough = threading.Event()
        sending = threading.Thread(target=sender.run, args=(enough,), daemon=True)
        sending.start()
        try:
            stored = [kill_after_progress(settings, tmp_path, kills.uniform(0.0, 0.4)) for _ in range(2)]
            stop_while_the_engine_hangs(settings, tmp_path, engine.pid)
            with Sink(settings, tmp_path / "sink.log", *KILLED) as sink:
                wait_for_progress(settings, sink)
                engine.kill()
                wait_for(lambda: "StoreUnreachable" in sink.log or "did not" in sink.log, 40, "that it is told")
                assert sink.stop()[0] == 3, sink.log  # it waits for the engine, and is told to end meanwhile
            host, port = engine.start()
            where = where.model_copy(update={"host": host, "port": port})
            settings = settings.model_copy(update={"clickhouse": where})
            stored.append(kill_after_progress(settings, tmp_path, kills.uniform(0.0, 0.4)))
        finally:
            enough.set()
        sending.join(patient(20))
        final = run_until(settings, nothing_left, "factors", "dead_letters", seconds=40)
        with opened(where) as store:
            counted = store.query(
                "SELECT count(), uniqExact(venue, symbol, source_log, source_partition, source_offset) FROM factors"
            )
            events = stored_events(store)
            letters = rows_of(store, "dead_letters")
    total = sum(sender.events.values())
    print(f"{total} events, {sender.resent} of them sent again; stored at kills {stored}; {final['factors']}")  # noqa: T201

    assert counted == [(total, total)]
    assert sender.resent > 0
    assert letters == sender.poison > 0
    want = {symbol: digest(map(event, range(count))) for symbol, count in sender.events.items()}
    assert {symbol: digest(found) for symbol, found in events.items()} == want


def nothing_left(counts: Mapping[str, Counts]) -> bool:
    """Whether every worker has read its log to the end and stored what it read."""
    return all(found.lags and not any(found.lags.values()) and found.buffered_rows == 0 for found in counts.values())


def kill_after_progress(settings: Settings, folder: Path, seconds: float) -> int:
    """Start a sink, let it store something, kill it a moment later; returns how many rows there are then."""
    with opened(settings.clickhouse) as store, Sink(settings, folder / "sink.log", *KILLED) as sink:
        wait_for_progress(settings, sink)
        time.sleep(seconds)
        assert sink.process.poll() is None, sink.log
        sink.kill()
        return rows_of(store, "factors")


def stop_while_the_engine_hangs(settings: Settings, folder: Path, engine: int) -> None:
    """Stop a sink that waits for an answer; the insert it leaves behind is finished when the engine goes on."""
    with Sink(settings, folder / "sink.log", *KILLED) as sink:
        wait_for_progress(settings, sink)
        os.kill(engine, signal.SIGSTOP)
        try:
            time.sleep(0.5)  # what is sent now waits for an answer
            code, seconds = sink.stop()
        finally:
            os.kill(engine, signal.SIGCONT)
    assert code == 0, sink.log
    assert seconds < patient(6.0)


def wait_for_progress(settings: Settings, sink: Sink) -> None:
    """Wait until a sink that was just started has stored something, not one before it whose insert ends late."""
    wait_for(lambda: "table_opened" in sink.own_log or sink.process.poll() is not None, 30, "an open table")
    with opened(settings.clickhouse) as store:
        before = rows_of(store, "factors")
        wait_for(lambda: rows_of(store, "factors") > before or sink.process.poll() is not None, 30, "progress")
