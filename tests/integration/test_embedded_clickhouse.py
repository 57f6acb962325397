"""The embedded engine over HTTP: what ordinary clients need of it, and what becomes of data when it dies."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlencode

import clickhouse_connect
import lz4.frame  # type: ignore[import-untyped]
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from backports import zstd
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from embedded.clickhouse import EmbeddedClickHouse
from embedded.demo.servers import WatchedServer
from embedded.process import nobody
from obflow.cli import main
from obflow.clickhouse import connect
from obflow.insert_errors import InsertUnanswered
from obflow.inserts import insert_arrow
from obflow.settings import ClickHouseSettings
from schemas.errors import StoreUnreachable, UsageError
from tests.integration.clickhouse_rows import events, token
from tests.support.patience import patient
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

LONG_QUERY = "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)"


@pytest.fixture(scope="module")
def engine() -> Iterator[EmbeddedClickHouse]:
    with EmbeddedClickHouse() as running:
        yield running


@pytest.fixture
def client(engine: EmbeddedClickHouse) -> Iterator[Client]:
    """A client as anybody would open it: compression, a session, no settings of ours."""
    client = clickhouse_connect.get_client(host=engine.host, port=engine.port, password=engine.tokens.writer)
    client.command("CREATE OR REPLACE TABLE t (a UInt64, b String DEFAULT 'x') ENGINE = MergeTree ORDER BY a")
    yield client
    client.close()


class Answer:
    """One raw answer, read to its end."""

    def __init__(self, response: HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def code(self) -> str | None:
        return self.headers["X-ClickHouse-Exception-Code"]


Ask = Callable[..., Answer]


@pytest.fixture
def ask(engine: EmbeddedClickHouse) -> Iterator[Ask]:
    """Ask over one connection, without a ClickHouse client in between."""
    connection = HTTPConnection(engine.host, engine.port, timeout=patient(30))

    def ask(
        body: bytes | Iterator[bytes] = b"",
        *,
        method: str = "POST",
        path: str = "/",
        headers: Mapping[str, str] | None = None,
        **fields: str,
    ) -> Answer:
        address = f"{path}?{urlencode(fields)}" if fields else path
        shown = {"X-ClickHouse-Key": engine.tokens.writer, **(headers or {})}
        connection.request(method, address, body=body, headers=shown)
        return Answer(connection.getresponse())

    yield ask
    connection.close()


# --- the protocol


@pytest.mark.parametrize("path", ["/ping", "/", "/replicas_status"])
def test_it_says_ok(ask: Ask, path: str) -> None:
    answer = ask(method="GET", path=path)
    assert (answer.status, answer.body) == (200, b"Ok.\n")
    assert ask(method="HEAD", path=path).status == 200


def test_another_path_is_not_found(ask: Ask) -> None:
    assert ask(method="GET", path="/play").status == 404


def test_an_answer_carries_format_summary_time_zone_and_query_id(ask: Ask) -> None:
    answer = ask(b"SELECT number FROM numbers(3) FORMAT JSONEachRow", query_id="mine")
    assert [json.loads(line) for line in answer.body.splitlines()] == [{"number": n} for n in range(3)]
    assert answer.headers["X-ClickHouse-Format"] == "JSONEachRow"
    assert answer.headers["X-ClickHouse-Query-Id"] == "mine"
    assert answer.headers["X-ClickHouse-Timezone"] == "UTC"
    assert int(json.loads(answer.headers["X-ClickHouse-Summary"])["result_rows"]) == 3
    assert ask(b"SELECT 1", default_format="CSVWithNames").body == b'"1"\n1\n'
    assert ask(b"CREATE DATABASE IF NOT EXISTS other").headers["X-ClickHouse-Format"] is None


@pytest.mark.parametrize(
    ("sql", "code", "status"),
    [
        ("SELEC 1", "62", 400),
        ("SELECT 1; SELECT 2", "62", 400),
        ("SELECT * FROM nowhere", "60", 404),
        ("SELECT nothing", "47", 404),
        ("SELECT throwIf(1)", "395", 500),
        ("SET max_threads = 1", "48", 501),
        ("SELECT 1 INTO OUTFILE 'x'", "358", 500),
    ],
)
def test_errors_carry_clickhouses_code_and_words(ask: Ask, sql: str, code: str, status: int) -> None:
    answer = ask(sql.encode())
    assert (answer.code, answer.status) == (code, status)
    assert answer.body.startswith(f"Code: {code}. DB::Exception: ".encode())
    assert answer.body.count(b"Code:") == 1


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("lz4", lz4.frame.compress), ("zstd", zstd.compress)],
)
def test_compressed_bodies_are_understood(ask: Ask, encoding: str, pack: Callable[[bytes], bytes]) -> None:
    headers = {"Content-Encoding": encoding}
    assert ask(pack(b"SELECT 6 * 7"), headers=headers).body == b"42\n"
    rows = pack(b"".join(b"%d\n" % n for n in range(1000)))
    ask(b"CREATE OR REPLACE TABLE packed (a UInt64) ENGINE = Memory")
    inserted = ask(rows, headers=headers, query="INSERT INTO packed FORMAT TSV")
    assert json.loads(inserted.headers["X-ClickHouse-Summary"])["written_rows"] == "1000"
    assert ask(b"SELECT sum(a) FROM packed").body == b"499500\n"


def test_chunked_bodies_are_understood(ask: Ask) -> None:
    assert ask(iter([b"SELECT ", b"sum(number)", b" FROM numbers(101)"])).body == b"5050\n"


def test_rows_beside_a_select_are_stored_under_its_condition(ask: Ask, client: Client) -> None:
    rows = b"".join(b"%d\trow\n" % n for n in range(1000))
    under = "INSERT INTO t (a, b) SELECT * FROM input('a UInt64, b String') WHERE {} FORMAT TSV"
    for _ in range(2):
        answer = ask(rows, query=under.format("a % 2 AND (SELECT count() FROM t) < 600"), max_insert_threads="1")
        assert json.loads(answer.headers["X-ClickHouse-Summary"])["written_rows"] == "500"
    assert ask(rows, query=under.format("NOT throwIf((SELECT count() FROM t) > 600)")).code == "395"
    assert ask(b"SELECT count(), uniqExact(_part), sum(a) FROM t").body == b"1000\t2\t500000\n"
    assert ask(b"SELECT count() FROM system.tables WHERE is_temporary").body == b"0\n"


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("INSERT INTO t (a) SELECT * FROM input('a UInt64') WHERE file('/etc/hostname') != '' FORMAT TSV", "497"),
        (
            "INSERT INTO t (a) SELECT * FROM input('a UInt64') WHERE a IN (SELECT * FROM input('a UInt64')) FORMAT TSV",
            "497",
        ),
        ("INSERT INTO t (a) SELECT i.a FROM input('a UInt64') AS i, file('/etc/hostname') AS f FORMAT TSV", "36"),
        ("INSERT INTO FUNCTION file('x', 'TSV', 'a UInt64') SELECT * FROM input('a UInt64') FORMAT TSV", "497"),
        ("INSERT INTO t (a) SELECT * FROM input('a UInt64) ENGINE = File(TSV) --') FORMAT TSV", "497"),
        ("INSERT INTO t (a) SELECT * FROM input('a UInt64) ENGINE = Memory AS SELECT file(0) --') FORMAT TSV", "497"),
        ("INSERT INTO t (a) SELECT * FROM input('a UInt64 DEFAULT length(file(b)), b String') FORMAT TSV", "497"),
        ("INSERT INTO t (a) SELECT * FROM input('a UInt64); DROP TABLE t') FORMAT TSV", "62"),
        ("INSERT INTO t (a) SELECT * FROM input('a UInt64') FORMAT CapnProto", "73"),
    ],
)
def test_a_select_of_sent_rows_reaches_nothing_that_others_do_not(
    ask: Ask, client: Client, sql: str, code: str
) -> None:
    assert ask(b"1\n", query=sql).code == code
    assert ask(b"SELECT count() FROM t").body == b"0\n"


def test_a_reader_sends_no_rows_beside_a_select(ask: Ask, client: Client, engine: EmbeddedClickHouse) -> None:
    as_reader = {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": engine.tokens.reader}
    sql = "INSERT INTO t (a) SELECT * FROM input('a UInt64') FORMAT TSV"
    assert ask(b"1\n", query=sql, headers=as_reader).code == "164"


def test_nothing_of_one_request_is_left_for_the_next(ask: Ask) -> None:
    """Settings, the database and read-only mode belong to a request."""
    asked = b"SELECT currentDatabase(), getSetting('max_threads'), getSetting('readonly')"
    assert ask(asked, database="system", max_threads="1", readonly="1").body == b"system\t1\t1\n"
    assert ask(asked, max_threads="2").body == b"default\t2\t0\n"


def test_a_get_only_reads(ask: Ask) -> None:
    assert ask(method="GET", query="SELECT 1").body == b"1\n"
    assert ask(method="GET", query="CREATE DATABASE nope").code == "164"


def test_an_unknown_setting_a_missing_database_and_an_unknown_user_are_refused(ask: Ask) -> None:
    assert ask(b"SELECT 1", no_such_setting="1").code == "115"
    assert ask(b"SELECT 1", **{"a=1, readonly": "0"}).code == "115"
    assert ask(b"SELECT 1", database="no`where").code == "81"
    assert ask(b"SELECT 1", headers={"X-ClickHouse-User": "stranger"}).code == "516"


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://example.org"}, {"Host": "rebound.example.org:8123"}, {"Origin": "null"}]
)
def test_a_page_in_a_browser_cannot_reach_the_database(ask: Ask, headers: Mapping[str, str]) -> None:
    assert ask(b"SELECT 1", headers=headers).code == "516"


# --- the ordinary client


def test_the_ordinary_client_works_unchanged(client: Client) -> None:
    assert str(client.server_tz) == "UTC"
    assert client.query("SELECT {n:UInt8} + 1, {s:String}", parameters={"n": 1, "s": "a\tb'\\\n"}).first_row == (
        2,
        "a\tb'\\\n",
    )
    assert client.query("SELECT %s", parameters=["it's"]).first_row == ("it's",)
    assert client.query("SELECT * FROM t LIMIT 0").column_names == ("a", "b")
    assert client.command("SELECT count() FROM t WHERE a > 100") == 0
    assert client.command("EXISTS TABLE t") == 1


def test_every_way_to_insert_and_to_read_works(client: Client) -> None:
    client.insert("t", [[1, "one"], [2, "two"]], column_names=["a", "b"])
    client.insert_df("t", pd.DataFrame({"a": [3], "b": ["three"]}))
    client.raw_insert("t", ["a"], b"4\n5\n", fmt="TSV")
    client.command("INSERT INTO t (a, b) VALUES", data="(6, 'si;x')")
    client.command("INSERT INTO t SELECT 7, 'seven'")
    assert [row[0] for row in client.query("SELECT a FROM t ORDER BY a").result_rows] == list(range(1, 8))
    assert client.query_df("SELECT a, b FROM t ORDER BY a")["b"].tolist()[:3] == ["one", "two", "three"]
    assert np.asarray(client.query_np("SELECT a FROM t ORDER BY a")).ravel().tolist() == list(range(1, 8))
    assert client.query_arrow("SELECT a FROM t ORDER BY a").column("a").to_pylist() == list(range(1, 8))
    with client.query_rows_stream("SELECT a FROM t ORDER BY a") as rows:
        assert [row[0] for row in rows] == list(range(1, 8))


async def test_the_async_client_works(engine: EmbeddedClickHouse) -> None:
    client = await clickhouse_connect.get_async_client(
        host=engine.host, port=engine.port, password=engine.tokens.writer
    )
    try:
        assert (await client.query("SELECT {n:UInt8}", parameters={"n": 5})).first_row == (5,)
    finally:
        await client.close()


def test_parameters_in_a_form_are_understood(engine: EmbeddedClickHouse) -> None:
    client = clickhouse_connect.get_client(
        host=engine.host, port=engine.port, password=engine.tokens.writer, form_encode_query_params=True
    )
    assert client.query("SELECT length({x:String})", parameters={"x": "y" * 100_000}).first_row == (100_000,)
    client.close()


def test_every_type_of_the_tables_survives(client: Client) -> None:
    row = client.query(
        "SELECT toDateTime64('2024-01-02 03:04:05.123456789', 9, 'UTC'), CAST(NULL AS Nullable(Float64)),"
        " CAST(0.1 AS Nullable(Float64)), toLowCardinality('x'), [1, -2]::Array(Int64), map('k', 1.5),"
        " toUUID('00000000-0000-0000-0000-000000000001')::String, 18446744073709551615, true, '{\"a\": 1}'::JSON"
    ).first_row
    assert row[1:] == (None, 0.1, "x", [1, -2], {"k": 1.5}, str(row[6]), 2**64 - 1, True, {"a": 1})
    assert row[0].isoformat() == "2024-01-02T03:04:05.123456"


def test_the_reader_reads_and_does_nothing_else(engine: EmbeddedClickHouse, client: Client) -> None:
    client.insert("t", [[1, "one"]], column_names=["a", "b"])
    reader = clickhouse_connect.get_client(
        host=engine.host, port=engine.port, username="reader", password=engine.tokens.reader
    )
    assert reader.query("SELECT b FROM t").first_row == ("one",)
    refused = {
        "INSERT INTO t (a) VALUES (2)": 164,
        "DROP TABLE t": 164,
        "ALTER TABLE t DELETE WHERE 1": 164,
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a Int8')": 497,
        "SELECT * FROM file('/etc/hostname', 'LineAsString', 'a String')": 497,
        "SELECT file('/etc/hostname')": 497,
        "SELECT 1 SETTINGS readonly = 0": 164,
    }
    for sql, code in refused.items():
        with pytest.raises(ClickHouseError) as raised:
            reader.command(sql)
        assert getattr(raised.value, "code", None) == code, sql
    with pytest.raises(ClickHouseError):
        reader.raw_insert("t", ["a"], b"9\n", fmt="TSV")
    assert client.command("SELECT count() FROM t") == 1
    reader.close()


def test_a_query_is_killed_by_its_clients_name(engine: EmbeddedClickHouse, client: Client, ask: Ask) -> None:
    codes: list[str | None] = []

    def run() -> None:
        connection = HTTPConnection(engine.host, engine.port, timeout=patient(60))
        connection.request("POST", "/?query_id=doomed", body=LONG_QUERY.encode(), headers=_shown(engine))
        codes.append(Answer(connection.getresponse()).code)
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert eventually(lambda: _is_running(ask, "doomed"))
    client.command("KILL QUERY WHERE query_id = 'doomed' SYNC")
    thread.join(patient(10))
    assert codes == ["394"]


def test_a_query_ends_when_its_client_has_gone(engine: EmbeddedClickHouse, ask: Ask) -> None:
    connection = HTTPConnection(engine.host, engine.port, timeout=patient(60))
    connection.request("POST", "/?query_id=abandoned", body=LONG_QUERY.encode(), headers=_shown(engine))
    assert eventually(lambda: _is_running(ask, "abandoned"))
    connection.close()
    assert eventually(lambda: not _is_running(ask, "abandoned"))


def _shown(engine: EmbeddedClickHouse) -> dict[str, str]:
    return {"X-ClickHouse-Key": engine.tokens.writer}


def _is_running(ask: Ask, query_id: str) -> bool:
    asked = "SELECT count() FROM system.processes WHERE Settings['log_comment'] = {id:String}"
    return ask(asked.encode(), param_id=query_id).body == b"1\n"


# --- its life and death


def settings_of(engine: EmbeddedClickHouse, database: str = "default") -> ClickHouseSettings:
    return ClickHouseSettings(host=engine.host, port=engine.port, database=database)


def test_acknowledged_rows_survive_a_kill(tmp_path: Path) -> None:
    """Killed at a moment of its own choosing under load, three times: no acknowledged row lost, no insert halved."""
    engine, size = EmbeddedClickHouse(tmp_path / "data"), 200
    try:
        engine.start()
        client = connect(settings_of(engine))
        client.command(
            "CREATE TABLE events (k_off UInt64, received_at DateTime64(9, 'UTC'), venue String, mid Nullable(Float64),"
            " bids Array(Int64)) ENGINE = MergeTree ORDER BY k_off SETTINGS non_replicated_deduplication_window = 100"
        )
        acknowledged = 0
        for round_number in range(3):
            client = connect(settings_of(engine))
            stored = int(client.query("SELECT count() FROM events").first_row[0])
            assert acknowledged <= stored <= acknowledged + size
            assert stored % size == 0
            assert client.query("SELECT uniqExact(k_off), max(k_off) + 1 FROM events").first_row[0] == stored
            killer = threading.Timer(0.3 + 0.15 * round_number, engine.kill)
            killer.start()
            acknowledged = stored
            try:
                while True:
                    insert_arrow(client, "events", events(size, first=acknowledged), token=token())
                    acknowledged += size
            except InsertUnanswered:
                killer.join()
            client.close()
            engine.start()
        client = connect(settings_of(engine))
        assert int(client.query("SELECT count() FROM events").first_row[0]) >= acknowledged > 0
        client.close()
    finally:
        engine.stop()


def test_a_second_process_on_the_same_folder_is_told_so(engine: EmbeddedClickHouse) -> None:
    second = EmbeddedClickHouse(engine.data)
    with pytest.raises(StoreUnreachable, match="another embedded ClickHouse is using the data folder") as raised:
        second.start()
    assert raised.value.exit_code == 3
    assert "\n" not in str(raised.value)
    assert engine.is_running()


def test_a_port_in_use_is_named(engine: EmbeddedClickHouse, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"port {engine.port} on 127.0.0.1 cannot be listened on"):
        EmbeddedClickHouse(tmp_path, port=engine.port).start()


def test_the_demo_takes_another_port_where_that_of_its_engine_was_lost(
    engine: EmbeddedClickHouse, tmp_path: Path
) -> None:
    made = lambda port: EmbeddedClickHouse(tmp_path, port=port)  # noqa: E731 (as the demo gives it)
    watched = WatchedServer("ClickHouse engine", made, engine.port, lambda server: server.port)
    try:
        watched.start(nobody)
        assert watched.server.port != engine.port
    finally:
        watched.close(2.0)


def test_it_stops_in_time_with_a_query_running_and_a_connection_open(tmp_path: Path) -> None:
    engine = EmbeddedClickHouse(tmp_path)
    engine.start()
    busy = HTTPConnection(engine.host, engine.port, timeout=patient(60))
    busy.request("POST", "/?query_id=busy", body=LONG_QUERY.encode(), headers=_shown(engine))
    idle = HTTPConnection(engine.host, engine.port, timeout=patient(60))

    def both_run() -> bool:
        asked = b"SELECT Settings['log_comment'] FROM system.processes"
        idle.request("POST", "/", body=asked, headers=_shown(engine))
        return b"busy" in Answer(idle.getresponse()).body

    assert eventually(both_run)
    pid, started = engine.pid, time.monotonic()
    child = engine._child
    assert child is not None
    child.terminate()
    assert child.wait(patient(5.0)) == 0
    assert time.monotonic() - started < patient(5.0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert Answer(busy.getresponse()).code == "394"
    for connection in (busy, idle):
        connection.close()
    engine.stop()


@pytest.mark.exhaustive
def test_it_ends_with_its_parent_however_that_dies(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from embedded.clickhouse import EmbeddedClickHouse\n"
        "engine = EmbeddedClickHouse(Path(sys.argv[1])); engine.start(); print(engine.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    assert eventually(lambda: not _alive(pid))
    with EmbeddedClickHouse(tmp_path) as again:  # and its folder is free
        assert again.is_running()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# --- the commands


@pytest.mark.exhaustive
def test_the_command_serves_until_a_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-m", "obflow", "clickhouse", "--port", "0", "--data", str(tmp_path)]

    def query(*words: str) -> tuple[int, str, str]:
        code = main(["query", *words])
        said = capfd.readouterr()
        return code, said.out, said.err

    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "listens on http://127.0.0.1:" in line
        host, _, port = line.split("http://")[1].split(";")[0].partition(":")
        for name, value in (("HOST", host), ("PORT", port), ("DATABASE", "default")):
            monkeypatch.setenv(f"OBFLOW_CLICKHOUSE__{name}", value)
        answered = query("SELECT number AS n, toString(n) AS s FROM numbers(2)", "--json")
        refused = query("SELEC 1")
        writing = query("CREATE DATABASE nope")
        process.send_signal(signal.SIGINT)
        assert process.wait(patient(5.0)) == 0
    assert (answered[0], answered[2]) == (0, "")
    assert json.loads(answered[1]) == {"columns": ["n", "s"], "rows": [[0, "0"], [1, "1"]]}
    for (code, out, err), words in ((refused, "Syntax error"), (writing, "readonly mode")):
        assert (code, out) == (1, "")
        assert err.startswith("obflow: ClickHouse refused it: ")
        assert words in err
        assert err.count("\n") == 1
    gone = query("SELECT 1")
    assert gone[0] == 3
    assert f"no ClickHouse answers at {host}:{port}" in gone[2]
