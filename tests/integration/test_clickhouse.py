"""The ClickHouse client on a real ClickHouse, embedded or server alike."""

from __future__ import annotations

import socket
import threading
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from obflow.clickhouse import connect, message_of
from obflow.insert_errors import InsertBusy, InsertError, InsertFenced, InsertPoisoned, InsertRejected, InsertUnanswered
from obflow.inserts import InsertCondition, RowsBeside, insert_arrow
from obflow.settings import ClickHouseSettings
from schemas.errors import DependencyError, StoreUnreachable
from tests.integration.backends import free_port
from tests.integration.clickhouse_rows import NS, events, token
from tests.support.patience import patient

pytestmark = [pytest.mark.integration, pytest.mark.new_database]

LAST_YEAR_NS = NS - 365 * 86_400 * 10**9


@pytest.fixture
def client(clickhouse: ClickHouseSettings) -> Iterator[Client]:
    client = connect(clickhouse)
    client.command(
        "CREATE TABLE events (k_off UInt64, received_at DateTime64(9, 'UTC'), venue LowCardinality(String),"
        " mid Nullable(Float64), bids Array(Int64), CONSTRAINT small CHECK k_off < 1000000)"
        " ENGINE = MergeTree PARTITION BY toYYYYMM(received_at) ORDER BY k_off"
        " SETTINGS non_replicated_deduplication_window = 100"
    )
    yield client
    client.close()


def stored(client: Client) -> int:
    return int(client.query("SELECT count() FROM events").first_row[0])


def test_rows_come_back_bit_for_bit(client: Client) -> None:
    """Nanoseconds, nulls, doubles, dictionaries and arrays survive the way there and back."""
    rows = events(1000)
    insert_arrow(client, "events", rows, token=token())
    back = client.query_arrow("SELECT * FROM events ORDER BY k_off", use_strings=True)
    for name in rows.column_names:
        assert back.column(name).cast(rows.schema.field(name).type).to_pylist() == rows.column(name).to_pylist()


def test_a_token_is_stored_once_while_the_server_lives(client: Client) -> None:
    same = token()
    for _ in range(2):
        insert_arrow(client, "events", events(10), token=same)
    assert stored(client) == 10
    insert_arrow(client, "events", events(10), token=token())
    assert stored(client) == 20


KINDS = {
    "k_off": "UInt64",
    "received_at": "DateTime64(9, 'UTC')",
    "venue": "LowCardinality(String)",
    "mid": "Nullable(Float64)",
    "bids": "Array(Int64)",
}


def test_rows_stored_under_a_condition_come_back_bit_for_bit(client: Client) -> None:
    rows, never = events(1000), InsertCondition(KINDS, "NOT throwIf(1, 'claimed by another')")
    insert_arrow(client, "events", rows, token=token(), only_if=InsertCondition(KINDS, "1"))

    back = client.query_arrow("SELECT * FROM events ORDER BY k_off", use_strings=True)
    for name in rows.column_names:
        assert back.column(name).cast(rows.schema.field(name).type).to_pylist() == rows.column(name).to_pylist()
    with pytest.raises(InsertFenced):
        insert_arrow(client, "events", events(1), token=token(), only_if=never)
    assert stored(client) == 1000


def test_an_engine_that_takes_no_rows_beside_a_statement_gets_them_in_it(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The embedded engine takes them, and opens no table function but `input`: what is sent instead is looked at."""
    tried, sent = [], []

    def refuse(*_: object) -> None:
        tried.append(1)
        error = ClickHouseError("Code: 62. DB::Exception: Syntax error. (SYNTAX_ERROR)")
        error.code = 62  # type: ignore[attr-defined]
        raise error

    monkeypatch.setattr(client, "raw_insert", refuse)
    monkeypatch.setattr(client, "command", lambda statement, settings: sent.append((statement, settings)))
    beside, every = RowsBeside(), [events(10), events(10, first=10)]
    for rows in every:
        insert_arrow(client, "events", rows, token=token(), only_if=InsertCondition(KINDS, "mine = 1"), beside=beside)

    assert (len(tried), len(sent)) == (1, 2)
    for rows, (statement, settings) in zip(every, sent, strict=True):
        assert statement.startswith(
            "INSERT INTO events (k_off, received_at, venue, mid, bids) SELECT * FROM format('Arrow', "
        )
        assert "received_at DateTime64(9, \\'UTC\\')" in statement
        assert statement.endswith(" WHERE mine = 1")
        assert settings["max_query_size"] > len(statement)
        text = statement.partition("base64Decode('")[2].partition("'")[0]
        assert pa.ipc.open_file(b64decode(text)).read_all() == rows


def test_an_insert_is_one_part(client: Client) -> None:
    """All or none, whatever the number of record batches."""
    rows = pa.concat_tables([events(20_000, first=start) for start in range(0, 100_000, 20_000)])
    insert_arrow(client, "events", rows, token=token())
    parts = "SELECT rows FROM system.parts WHERE database = currentDatabase() AND table = 'events' AND level = 0"
    assert client.query(parts).result_rows == [(100_000,)]


def test_rows_of_two_partitions_are_refused_whole(client: Client) -> None:
    rows = pa.concat_tables([events(1), events(1, received_ns=LAST_YEAR_NS)])
    with pytest.raises(InsertRejected) as raised:
        insert_arrow(client, "events", rows, token=token())
    assert raised.value.code == 252
    assert stored(client) == 0


@pytest.mark.parametrize(
    ("change", "kind", "code"),
    [
        ({"surprise": pa.array([1])}, InsertRejected, 16),
        ({"k_off": pa.array([1_000_000], pa.uint64())}, InsertPoisoned, 469),
        ({"k_off": pa.array(["not a number"])}, InsertPoisoned, None),
        ({"received_at": pa.array(["not a time"])}, InsertPoisoned, None),
    ],
    ids=["unknown column", "violated constraint", "text for a number", "text for a time"],
)
def test_what_the_table_refuses_is_said_and_not_stored(
    client: Client, change: dict[str, pa.Array], kind: type[InsertError], code: int | None
) -> None:
    columns = {name: events(1).column(name) for name in events(1).column_names} | change
    with pytest.raises(kind) as raised:
        insert_arrow(client, "events", pa.table(columns), token=token())
    assert raised.value.code is not None
    assert code in (None, raised.value.code)
    assert stored(client) == 0


def test_a_missing_table_is_a_rejection(client: Client) -> None:
    with pytest.raises(InsertRejected, match="nowhere") as raised:
        insert_arrow(client, "nowhere", events(1), token=token())
    assert raised.value.code == 60


def test_a_server_out_of_memory_is_busy(client: Client) -> None:
    client.set_client_setting("max_memory_usage", 10_000)
    with pytest.raises(InsertBusy) as raised:
        insert_arrow(client, "events", events(50_000), token=token())
    assert raised.value.code == 241
    client.set_client_setting("max_memory_usage", 0)
    assert stored(client) == 0


def test_a_readonly_client_reads_and_cannot_write(client: Client, clickhouse: ClickHouseSettings) -> None:
    insert_arrow(client, "events", events(3), token=token())
    reader = connect(clickhouse, readonly=True)
    assert reader.query("SELECT count() FROM events", settings={"max_threads": 1}).first_row == (3,)
    with pytest.raises(ClickHouseError) as raised:
        reader.command("INSERT INTO events (k_off) VALUES (9)")
    assert getattr(raised.value, "code", None) == 164
    with pytest.raises(InsertRejected):
        insert_arrow(reader, "events", events(1), token=token())
    assert stored(client) == 3
    reader.close()


def test_a_missing_database_names_its_remedy(clickhouse: ClickHouseSettings) -> None:
    with pytest.raises(DependencyError, match=r"has no database elsewhere: `obflow tables apply`"):
        connect(clickhouse, database="elsewhere")


def test_a_closed_port_is_one_sentence() -> None:
    port = free_port()
    with pytest.raises(StoreUnreachable, match=f"no ClickHouse answers at 127.0.0.1:{port}: start it"):
        connect(ClickHouseSettings(port=port))


def test_a_query_beyond_the_deadline_ends_on_both_sides(client: Client, clickhouse: ClickHouseSettings) -> None:
    hasty = connect(clickhouse.model_copy(update={"timeout_seconds": 1.0}))
    with pytest.raises(ClickHouseError) as raised:
        hasty.query("SELECT sum(sipHash64(number)) FROM numbers(1000000000000) -- beyond the deadline")
    assert getattr(raised.value, "code", None) == 159, message_of(raised.value)
    running = client.query("SELECT query FROM system.processes").result_rows
    assert not [text for (text,) in running if "beyond the deadline" in text]
    hasty.close()


def test_readers_never_see_half_an_insert(client: Client, clickhouse: ClickHouseSettings) -> None:
    """One writer, three readers, one shared client for the readers."""
    size, inserts = 500, 30
    reader, done = connect(clickhouse, readonly=True), threading.Event()

    def read() -> tuple[int, set[int]]:
        seen = [stored(reader)]
        while not done.is_set():
            seen.append(stored(reader))
        return len(seen), {count % size for count in seen}

    with ThreadPoolExecutor(3) as pool:
        readings = [pool.submit(read) for _ in range(3)]
        try:
            for number in range(inserts):
                insert_arrow(client, "events", events(size, first=number * size), token=token())
        finally:
            done.set()
        counts, halves = zip(*(reading.result() for reading in readings), strict=True)
    assert min(counts) > 3
    assert set().union(*halves) == {0}
    assert stored(client) == size * inserts
    reader.close()


@contextmanager
def cut_after_the_statement(settings: ClickHouseSettings) -> Iterator[tuple[ClickHouseSettings, list[int]]]:
    """A way to the server that passes each request on and, from the moment it is armed, drops the answer.

    Yields its address, and a list: put something in to arm it; it then counts the requests whose answer was dropped.
    """
    armed: list[int] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def pass_on(near: socket.socket) -> None:
        with near, socket.create_connection((settings.host, settings.port)) as far:
            answers = threading.Thread(target=pass_back, args=(near, far), daemon=True)
            answers.start()
            while data := _receive(near):
                far.sendall(data)
            far.shutdown(socket.SHUT_WR)
            answers.join(patient(10))

    def pass_back(near: socket.socket, far: socket.socket) -> None:
        while data := _receive(far):
            if armed:
                armed.append(1)
                near.shutdown(socket.SHUT_RDWR)
                return
            near.sendall(data)

    def accept() -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=pass_on, args=(near,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield settings.model_copy(update={"port": listening.getsockname()[1]}), armed
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1 << 16)
    except OSError:
        return b""


def test_an_insert_whose_answer_is_lost_is_not_sent_again(client: Client, clickhouse: ClickHouseSettings) -> None:
    """The rows are there, once, and the writer is told that it cannot know."""
    with cut_after_the_statement(clickhouse) as (detour, armed):
        cut = connect(detour)
        armed.append(0)
        with pytest.raises(InsertUnanswered):
            insert_arrow(cut, "events", events(100), token=token())
        assert len(armed) == 2
        cut.close()
    assert stored(client) == 100
