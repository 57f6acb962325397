"""Attacks on a running embedded engine, over its port: what nobody may read, write, reach, stop or use up."""
# ruff: noqa: S608 - hostile statements are what these tests build

from __future__ import annotations

import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.clickhouse import EmbeddedClickHouse
from obflow.clickhouse import connect
from obflow.settings import ClickHouseSettings
from tests.integration.engine_requests import Answer, Requests
from tests.support.patience import patient
from tests.support.tiers import tiered
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

SECRET = "a canary that no answer may hold"  # noqa: S105 - it is to be found
ENDLESS = "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)"
GIB = 1 << 30


@pytest.fixture(scope="module")
def engine() -> Iterator[EmbeddedClickHouse]:
    with EmbeddedClickHouse() as running:
        yield running


@pytest.fixture(scope="module")
def requests(engine: EmbeddedClickHouse) -> Requests:
    requests = Requests(engine)
    for statement in (
        "CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a",
        "INSERT INTO t SELECT number, toString(number) FROM numbers(10)",
    ):
        assert requests.write(statement).status == 200
    return requests


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.txt"
    path.write_text(SECRET, "utf-8")
    return path


def both(requests: Requests, sql: str, **fields: str) -> list[Answer]:
    """The answers to a reader, to a reader's and a writer's GET, and to a writer."""
    return [
        requests.read(sql, **fields),
        requests.get(sql, requests.reader, **fields),
        requests.get(sql, requests.writer, **fields),
        requests.write(sql, **fields),
    ]


# --- files


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 AS a$$, file('{path}') AS b$$",
        "SELECT $$'$$, file('{path}'), $$'$$",
        "SELECT $a$ $b$ $a$, file('{path}')",
        "SELECT file('{path}')",
        "SELECT FILE/**/('{path}')",
        "SELECT `file`('{path}')",
        "SELECT \"f\\x69le\"('{path}')",
        "SELECT `\\146ile`('{path}')",
        "SELECT * FROM file('{path}', 'LineAsString', 'x String')",
        "SELECT * FROM `{path}`",
        "SELECT * FROM default.`{path}`",
        'SELECT * FROM "{path}"',
        "DESCRIBE TABLE `{path}`",
        "SELECT count() FROM t WHERE b IN `{path}`",
        "DESCRIBE file('{path}')",
        "SELECT * FROM (SELECT * FROM (SELECT file('{path}')))",
        "WITH (SELECT file('{path}')) AS x SELECT x",
        "WITH x -> file(x) AS f SELECT f('{path}')",
        "WITH x -> x AS file SELECT file('{path}')",
        "SELECT arrayMap(x -> file(x), ['{path}'])",
        "SELECT '{path}' AS x, * APPLY(file)",
        "SELECT * APPLY(file) FROM (SELECT '{path}')",
        "SELECT COLUMNS('p') APPLY(x -> file(x)) FROM (SELECT '{path}' AS p)",
        "SELECT * REPLACE (file(p) AS p) FROM (SELECT '{path}' AS p)",
        "SELECT 1 WHERE file('{path}') LIKE '%canary%'",
        "SELECT b FROM t ORDER BY file('{path}')",
        "SELECT sum(a) OVER (PARTITION BY file('{path}')) FROM t",
        "SHOW TABLES WHERE file('{path}') LIKE '%canary%'",
        "EXPLAIN SELECT file('{path}')",
        "SELECT * FROM (EXPLAIN AST SELECT file('{path}'))",
        "SELECT * FROM view(SELECT file('{path}'))",
        "SELECT * FROM eval('SELECT file(\\'{path}\\')')",
        "SELECT * FROM executable('{path}', 'TSV', 'x String')",
        "SELECT * FROM sqlite('{path}', 'x')",
        "SELECT * FROM url('file://{path}', 'LineAsString')",
        "SELECT * FROM Python(statement)",
        "SELECT * FROM filesystem('{folder}')",
        "SELECT 1 FORMAT Template SETTINGS format_template_row = '{path}'",
        "SELECT formatRow('Template', 1) SETTINGS format_template_row = '{path}'",
        "SELECT 1 AS x SETTINGS additional_result_filter = 'file(\\'{path}\\') != \\'\\''",
        "SELECT 1 UNION ALL SELECT file('{path}')",
        "SELECT if(0, '', file('{path}'))",
        "SELECT transform(1, [1], [file('{path}')], '')",
        "SELECT 1 LIMIT length(file('{path}'))",
        "SELECT 1; SELECT file('{path}')",
        "SELECT * FROM merge('default', '.*')",
    ],
)
def test_no_statement_reads_a_file(requests: Requests, secret: Path, sql: str) -> None:
    text = sql.replace("{path}", str(secret)).replace("{folder}", str(secret.parent))
    for answer in both(requests, text):
        assert answer.status != 200
        assert SECRET.encode() not in answer.body


def test_no_parameter_reads_a_file(requests: Requests, secret: Path) -> None:
    for answer in both(requests, "SELECT * FROM {t:Identifier}", param_t=str(secret)):
        assert answer.status != 200
        assert SECRET.encode() not in answer.body


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE VIEW v AS SELECT * FROM file('{path}', 'LineAsString', 'x String')",
        "CREATE TABLE f (x String) ENGINE = File('LineAsString', '{path}')",
        "CREATE TABLE f AS file('{path}', 'LineAsString', 'x String')",
        "CREATE TABLE f (x String DEFAULT file('{path}')) ENGINE = Memory",
        "CREATE TABLE f (x String) ENGINE = MergeTree ORDER BY x SETTINGS disk = disk(type = local, path = '{folder}')",
        "CREATE DATABASE d ENGINE = Filesystem('{folder}')",
        "CREATE DICTIONARY d (x String) PRIMARY KEY x SOURCE(FILE(PATH '{path}' FORMAT 'CSV')) LAYOUT(FLAT())",
        "CREATE FUNCTION f AS x -> file(x)",
        "ATTACH TABLE f FROM '{folder}' (x String) ENGINE = File('LineAsString')",
        "ALTER TABLE t ADD COLUMN c String DEFAULT file('{path}')",
        "ALTER TABLE t UPDATE b = file('{path}') WHERE 1",
        "INSERT INTO t SELECT 1, file('{path}')",
        "INSERT INTO t FROM INFILE '{path}' FORMAT LineAsString",
        "INSERT INTO t SELECT * FROM input('a UInt64, b String') FROM INFILE '{path}' FORMAT CSV",
        "RESTORE TABLE x FROM File('{path}')",
        "EXECUTE AS default SELECT file('{path}')",
    ],
)
def test_who_may_write_reads_no_file_either(requests: Requests, secret: Path, sql: str) -> None:
    answer = requests.write(sql.replace("{path}", str(secret)).replace("{folder}", str(secret.parent)))
    assert answer.status != 200
    assert SECRET.encode() not in answer.body
    assert requests.read("SELECT count() FROM t").body == b"10\n"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 INTO OUTFILE '{path}'",
        "SELECT 1 INTO OUTFILE '{path}' TRUNCATE",
        "SELECT 1 INTO OUTFILE '{path}' APPEND",
        "SELECT 1 INTO OUTFILE '{path}' AND STDOUT",
        "SELECT 1 INTO OUTFILE '{path}' APPEND AND STDOUT FORMAT CSV",
        "SELECT 1 INTO OUTFILE '{path}' TRUNCATE COMPRESSION 'gzip' LEVEL 3 FORMAT CSV",
        "SELECT 1 AS a$$ INTO OUTFILE '{path}' TRUNCATE FORMAT CSV SETTINGS log_comment = '$$'",
        "SELECT 1 AS a$$ INTO OUTFILE '{path}' TRUNCATE -- $$",
        "SELECT 1 AS a$$ INTO OUTFILE '{path}' APPEND /* $$ */",
        "SELECT $$ $$ AS `$$` INTO/**/OUTFILE '{path}' TRUNCATE",
        "SELECT 1 INTO -- x\nOUTFILE $x${path}$x$ TRUNCATE",
        "(SELECT 1) UNION ALL (SELECT 2) INTO OUTFILE '{path}' TRUNCATE",
        "SHOW TABLES INTO OUTFILE '{path}' TRUNCATE",
        "DESCRIBE t INTO OUTFILE '{path}' TRUNCATE",
        "EXPLAIN SELECT 1 INTO OUTFILE '{path}' TRUNCATE",
        "EXISTS t INTO OUTFILE '{path}' TRUNCATE",
        "SELECT 1; SELECT 1 INTO OUTFILE '{path}' TRUNCATE",
        "SELECT 1 PARALLEL WITH SELECT 1 INTO OUTFILE '{path}' TRUNCATE",
        "INSERT INTO FUNCTION file('{path}', 'CSV', 'a UInt8') SELECT 1",
        "INSERT INTO TABLE FUNCTION file('{path}', 'CSV', 'a UInt8') VALUES (1)",
        "BACKUP TABLE t TO File('{path}')",
        "CREATE TABLE o (a UInt8) ENGINE = File('CSV', '{path}')",
        "ALTER TABLE t FREEZE WITH NAME '{path}' INTO OUTFILE '{path}'",
    ],
)
def test_no_statement_writes_a_file(requests: Requests, secret: Path, sql: str) -> None:
    for target in (secret, secret.with_name("new.txt")):
        for answer in both(requests, sql.replace("{path}", str(target))):
            assert answer.status != 200
    assert [path.name for path in secret.parent.iterdir()] == [secret.name]
    assert secret.read_text("utf-8") == SECRET


# --- addresses


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM url('http://{address}/', 'CSV', 'a String')",
        "DESCRIBE url('http://{address}/?what=carried+away')",
        "DESCRIBE TABLE url(concat('http://{address}/', (SELECT b FROM t LIMIT 1)))",
        "SELECT * FROM remote('{address}', system.one)",
        "SELECT * FROM remoteSecure('{address}', system.one)",
        "SELECT * FROM mysql('{address}', 'd', 't', 'u', 'p')",
        "SELECT * FROM postgresql('{address}', 'd', 't', 'u', 'p')",
        "SELECT * FROM s3('http://{address}/bucket/key', 'CSV', 'a String')",
        "SELECT * FROM iceberg('http://{address}/bucket/')",
        "SELECT * FROM mongodb('{address}', 'd', 't', 'u', 'p', 'a String')",
        "SELECT * FROM redis('{address}', 'k', 'k String')",
        "SELECT * FROM prometheusQuery('http://{address}', 'up', now())",
        "SELECT aiGenerate('x')",
        "INSERT INTO FUNCTION url('http://{address}/', 'CSV', 'a String') SELECT 'x'",
        "CREATE TABLE u (a String) ENGINE = URL('http://{address}/', 'CSV')",
        "CREATE TABLE u (a String) ENGINE = MySQL('{address}', 'd', 't', 'u', 'p')",
        "CREATE DATABASE m ENGINE = MySQL('{address}', 'd', 'u', 'p')",
        "CREATE TABLE w (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = web, endpoint = 'http://{address}/x/')",
        "EXPLAIN TABLE OVERRIDE mysql('{address}', 'd', 't', 'u', 'p') PARTITION BY a",
    ],
)
def test_no_statement_reaches_an_address(requests: Requests, sql: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as outside:
        outside.settimeout(0.3)
        for answer in both(requests, sql.replace("{address}", f"127.0.0.1:{outside.getsockname()[1]}")):
            assert answer.status != 200
        with pytest.raises(TimeoutError):
            outside.accept()


# --- statements that change something


@pytest.mark.parametrize(
    "sql",
    [
        "KILL QUERY WHERE 1",
        "KILL MUTATION WHERE 1",
        "SYSTEM STOP MERGES",
        "SYSTEM SHUTDOWN",
        "SYSTEM KILL",
        "DROP TABLE t",
        "TRUNCATE TABLE t",
        "DETACH TABLE t",
        "ALTER TABLE t DELETE WHERE 1",
        "ALTER TABLE t MODIFY COMMENT 'x'",
        "DELETE FROM t WHERE 1",
        "UPDATE t SET b = 'x' WHERE 1",
        "INSERT INTO t VALUES (1, 'x')",
        "INSERT INTO t SELECT 1, 'x'",
        "CREATE TABLE x (a Int8) ENGINE = Memory",
        "CREATE VIEW x AS SELECT 1",
        "CREATE TEMPORARY TABLE x (a Int8)",
        "OPTIMIZE TABLE t FINAL",
        "RENAME TABLE t TO x",
        "SET readonly = 0",
        "USE system",
        "GRANT ALL ON *.* TO default",
        "CREATE USER x",
        "EXPLAIN INSERT INTO t SELECT 1, 'x'",
        "SELECT 1 PARALLEL WITH DROP TABLE t",
        "SELECT 1; DROP TABLE t",
        "SELECT 1;\nDROP TABLE t",
        "SELECT 1 AS a$$; DROP TABLE t; SELECT 1 AS b$$",
        "SELECT 1 AS a$$; SYSTEM STOP MERGES; SELECT 1 AS b$$",
        "SELECT 1 AS a$$; KILL QUERY WHERE 1 -- $$",
    ],
)
def test_a_reader_changes_nothing_and_neither_does_a_get(requests: Requests, sql: str) -> None:
    for answer in (
        requests.read(sql),
        requests.get(sql, requests.reader),
        requests.get(sql, requests.writer),
        requests.send(b"", requests.writer, method="HEAD", query=sql),
        requests.send(b"", requests.writer, method="PUT", query=sql),
        requests.write(sql, readonly="1"),
    ):
        assert answer.status != 200
    assert requests.read("SELECT count() FROM t").body == b"10\n"


def test_a_get_kills_no_query(requests: Requests) -> None:
    """A reader's KILL over GET stopped the sink's inserts."""
    with running(requests, requests.writer, "insert") as answers:
        for headers in (requests.reader, requests.writer):
            assert requests.get("KILL QUERY WHERE 1", headers).code == "164"
        assert not answers
        requests.write("KILL QUERY WHERE query_id = 'insert' SYNC")
    assert answers == ["394"]


def test_nobody_shuts_the_engine_down_and_who_tries_is_logged(engine: EmbeddedClickHouse, requests: Requests) -> None:
    for sql in ("SYSTEM SHUTDOWN", "SYSTEM KILL", "SYSTEM STOP MERGES", "SYSTEM STOP LISTEN HTTP"):
        assert requests.write(sql).code == "497"
    assert engine.is_running()
    assert "refused SYSTEM SHUTDOWN to a writer" in engine.log.read_text("utf-8")


def test_a_reader_sees_nothing_of_what_others_ask(requests: Requests) -> None:
    for table in ("processes", "query_cache", "users", "named_collections", "server_settings", "stack_trace", "errors"):
        for sql in (
            f"SELECT * FROM system.{table}",
            f"SELECT 1 IN system.{table}",
            f"SELECT * FROM `system`.`{table}`",
        ):
            assert requests.read(sql).code == "497"
        assert requests.read(f"SELECT * FROM {table}", database="system").code == "497"
        assert requests.read(f"SELECT 1 IN {table}", database="system").code == "497"
        assert requests.read("SELECT * FROM system.{t:Identifier}", param_t=table).code == "497"
        assert (
            requests.read("SELECT * FROM {d:Identifier}.{t:Identifier}", param_d="system", param_t=table).code == "497"
        )
    assert requests.read("SELECT * FROM merge('system', '.*')").code == "497"


# --- tokens


def test_only_its_own_user_can_read_tokens_and_data(engine: EmbeddedClickHouse) -> None:
    assert stat.S_IMODE(engine.data.stat().st_mode) == 0o700
    for name in ("reader.token", "writer.token"):
        assert stat.S_IMODE((engine.data / name).stat().st_mode) == 0o600
    assert len({*engine.tokens}) == 2
    assert all(len(token) >= 43 for token in engine.tokens)


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/play", "/replicas_status", "/metrics"])
def test_every_request_but_ping_has_to_show_a_token(requests: Requests, method: str, path: str) -> None:
    shown = requests.writer["X-ClickHouse-Key"]
    for headers in (
        {},
        {"X-ClickHouse-User": "default"},
        {"X-ClickHouse-Key": ""},
        {"X-ClickHouse-Key": shown[:-1]},
        {"X-ClickHouse-Key": shown + "x"},
        {"X-ClickHouse-Key": "\u00fc" * 43},
        {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": shown},
        {"X-ClickHouse-User": "stranger", "X-ClickHouse-Key": shown},
        {"Authorization": "Basic ZGVmYXVsdDo="},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Digest x"},
    ):
        assert requests.send(b"", {k: v.encode() for k, v in headers.items()}, method=method, path=path).status == 403
    assert requests.send(b"", method="GET", path="/ping").body == b"Ok.\n"


def test_the_readers_token_does_not_let_write(requests: Requests) -> None:
    shown = requests.reader["X-ClickHouse-Key"]
    for headers in (requests.reader, {"Authorization": f"Bearer {shown}"}):
        assert requests.send("SELECT 1", headers).body == b"1\n"
        assert requests.send("DROP TABLE t", headers).code == "164"
    assert requests.send("DROP TABLE t", {"X-ClickHouse-User": "default", "X-ClickHouse-Key": shown}).code == "516"


@pytest.mark.parametrize("name", tiered(["a&b", "a?b=c", "a#b", "<a>", "a%2Fb c", "\x1b[2J\u202e'\"\\"], "a?b=c"))
def test_a_folder_of_any_name_is_opened_with_its_configuration(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    with EmbeddedClickHouse(folder) as engine:  # it ends where it finds itself without its configuration
        requests = Requests(engine)
        for statement in ("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a", "INSERT INTO t SELECT 1"):
            assert requests.write(statement).status == 200
    assert list((folder / "store").iterdir())
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with EmbeddedClickHouse(folder) as engine:
        assert Requests(engine).read("SELECT a FROM t").body == b"1\n"


@pytest.mark.exhaustive
def test_each_start_has_tokens_of_its_own_and_a_client_follows(tmp_path: Path) -> None:
    engine = EmbeddedClickHouse(tmp_path)
    try:
        _, port = engine.start()
        first = engine.tokens
        client = connect(ClickHouseSettings(port=port, database="default"))
        assert client.command("SELECT 1") == 1
        engine.kill()
        again = EmbeddedClickHouse(tmp_path, port=port)
        again.start()
        try:
            assert not {*first} & {*again.tokens}
            assert eventually(lambda: answers(client))
        finally:
            client.close()
            again.stop()
    finally:
        engine.stop()


def answers(client: object) -> bool:
    from obflow.clickhouse import ClickHouseError

    try:
        return bool(client.command("SELECT 1") == 1)  # type: ignore[attr-defined]
    except ClickHouseError:
        return False


# --- pages in a browser


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1.example.org:8123"},
        {"Host": "rebound.example.org:8123"},
        {"Host": "localhost.example.org"},
        {"Host": "[::1"},
        {"Host": ""},
    ],
)
def test_a_page_is_refused_even_with_a_token(requests: Requests, headers: dict[str, str]) -> None:
    for method in ("GET", "POST"):
        answer = requests.send(b"", {**requests.writer, **headers}, method=method, query="SELECT 1")
        assert answer.code == "516"
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_a_person_at_the_address_bar_is_no_page(requests: Requests) -> None:
    for site in ("none", "same-origin"):
        assert requests.get("SELECT 1", {**requests.reader, "Sec-Fetch-Site": site}).body == b"1\n"


# --- bounds


def test_connections_that_send_no_body_hold_nobody_up(engine: EmbeddedClickHouse, requests: Requests) -> None:
    """16 of them took every place there was."""
    stuck = []
    try:
        for user in (requests.reader, requests.writer) * 20:
            opened = socket.create_connection((engine.host, engine.port))
            head = "".join(f"{name}: {value}\r\n" for name, value in user.items())
            opened.sendall(f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}Content-Length: 100\r\n\r\nSEL".encode())
            stuck.append(opened)
        started = time.monotonic()
        assert requests.read("SELECT 1").body == requests.write("SELECT 1").body == b"1\n"
        assert time.monotonic() - started < 20
    finally:
        for opened in stuck:
            opened.close()


@pytest.mark.parametrize(
    "name",
    [
        "max_memory_usage",
        "max_execution_time",
        "max_result_bytes",
        "max_threads",
        "max_temporary_data_on_disk_size_for_query",
    ],
)
def test_a_reader_lifts_no_bound(requests: Requests, name: str) -> None:
    asked = f"SELECT toFloat64(getSetting('{name}'))"
    bound = float(requests.read(asked).body)
    assert bound > 0
    for value in ("0", "-1", "1000000000000000", "inf", "nan", "1e30"):
        quoted = f"'{value}'"
        for answer in (
            requests.read(asked, **{name: value}),
            requests.get(asked, requests.writer, **{name: value}),
            requests.read(f"{asked} SETTINGS {name} = {quoted}"),
            requests.read(f"SELECT * FROM ({asked}) SETTINGS {name} = {quoted}"),
        ):
            assert answer.status != 200 or 0 < float(answer.body) <= bound
    assert requests.read(f"SELECT * FROM ({asked} SETTINGS {name} = 0)").code == "164"
    assert float(requests.read(asked, **{name: "1"}).body) == 1


@pytest.mark.parametrize(
    "name",
    [
        "readonly",
        "allow_ddl",
        "profile",
        "log_queries_cut_to_length",
        "dialect",
        "additional_table_filters",
        "format_schema",
    ],
)
def test_a_reader_names_no_other_setting(requests: Requests, name: str) -> None:
    assert requests.read(f"SELECT 1 SETTINGS {name} = '1'").code == "164"
    if name != "readonly":  # in the address, it asks for less
        assert requests.read("SELECT 1", **{name: "1"}).code == "164"


HUNGRY = [
    "SELECT groupArray(number) FROM numbers(1000000000)",
    "SELECT number, groupArray(toString(number)) FROM numbers(1000000000) GROUP BY number",
    "SELECT uniqExact(number) FROM numbers(10000000000)",
    "SELECT * FROM numbers(1000000000) ORDER BY sipHash64(number)",
    "SELECT count() FROM numbers(1000000000) AS a JOIN numbers(1000000000) AS b ON a.number = b.number",
    "SELECT length(arrayStringConcat(arrayMap(x -> repeat('x', 100000), range(100000))))",
    "SELECT arrayJoin(range(400000000))",
    "SELECT number, repeat('x', 10000) FROM numbers(1000000)",
    "SELECT repeat('x', 1000000) FROM numbers(100000) FORMAT JSON",
]


def memory_bytes(engine: EmbeddedClickHouse, field: str) -> int:
    """What the engine's process holds (`VmRSS`), or the most it held since its peak was forgotten (`VmHWM`)."""
    status = Path(f"/proc/{engine.pid}/status").read_text("ascii")
    return int(status.split(f"{field}:")[1].split()[0]) * 1024


def forget_peak(engine: EmbeddedClickHouse) -> None:
    Path(f"/proc/{engine.pid}/clear_refs").write_text("5", "ascii")


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the kernel tells no peak of memory (no /proc)")
@pytest.mark.slow
@pytest.mark.parametrize("sql", tiered(HUNGRY, HUNGRY[0], HUNGRY[5]))
def test_no_reader_uses_up_the_memory(engine: EmbeddedClickHouse, requests: Requests, sql: str) -> None:
    """One query took 4.4 GiB. Each of these is cut off, and whoever writes goes on.

    A query's bound is 1 GiB, its answer's a quarter of one; the allocator holds back some of what was freed.
    """
    forget_peak(engine)
    held = memory_bytes(engine, "VmRSS")
    answer = requests.read(sql, max_execution_time="3")
    assert answer.code in ("241", "396", "159", "128", "307", "131"), answer.body[:200]
    assert memory_bytes(engine, "VmHWM") - held < 1.5 * GIB
    assert requests.write("INSERT INTO t SELECT 10, 'x' WHERE 0").status == 200


def test_readers_do_not_keep_a_writer_waiting(requests: Requests) -> None:
    """Twelve endless queries of readers run and wait; an insert is stored meanwhile."""
    threads = [
        threading.Thread(target=requests.read, args=(ENDLESS,), kwargs={"max_execution_time": "3"}) for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    time.sleep(1)
    started = time.monotonic()
    assert requests.write("INSERT INTO t SELECT 11, 'y' WHERE 0").status == 200
    waited_s = time.monotonic() - started
    for thread in threads:
        thread.join(patient(60))
    assert waited_s < patient(5)


def test_a_reader_runs_out_of_time(requests: Requests) -> None:
    assert requests.read(ENDLESS, max_execution_time="1").code == "159"


def test_clients_that_come_and_go_leave_no_descriptor_open(engine: EmbeddedClickHouse) -> None:
    """101 became 452 in fourteen minutes of the demo."""
    before = descriptors(engine)
    for _ in range(60):
        client = connect(ClickHouseSettings(port=engine.port, database="default"))
        client.command("SELECT 1")
        client.close()
    assert eventually(lambda: descriptors(engine) < before + 10)


def descriptors(engine: EmbeddedClickHouse) -> int:
    return len(list(Path(f"/proc/{engine.pid}/fd").iterdir()))


class running:  # noqa: N801 - reads as a sentence in a with statement
    """An endless query that runs for the block; collects the code it ends with."""

    def __init__(self, requests: Requests, headers: dict[str, str], query_id: str) -> None:
        self._requests, self._headers, self._id = requests, headers, query_id
        self._codes: list[str | None] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self._codes.append(self._requests.send(ENDLESS, self._headers, query_id=self._id).code)

    def __enter__(self) -> list[str | None]:
        self._thread.start()
        asked = f"SELECT count() FROM system.processes WHERE Settings['log_comment'] = '{self._id}'"
        assert eventually(lambda: self._requests.write(asked).body == b"1\n")
        return self._codes

    def __exit__(self, *_: object) -> None:
        self._thread.join(patient(30))
