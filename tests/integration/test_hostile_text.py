"""Text from outside, however hostile, reaches a terminal as letters: every command, with the parts it talks to.

Venues, symbols, errors, payloads, names of files and settings hold attacks (`tests/obflow/hostile.py`), and flow
through recordings, the log, the tables, an exchange's answers and the settings into what the commands print.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
from typer.core import TyperGroup

from obflow import cli, kafka_logs, topics
from obflow.settings import ClickHouseSettings, Settings
from schemas.codec import encode
from schemas.logs import Position
from schemas.messages import Record
from schemas.topics import DEAD_LETTERS, DERIVATIVES, FACTORS, FEED_QUALITY, L2, TRADES, Topic
from sinks.batching import Entry, RowBatch
from sinks.tables import TABLES
from tests.integration.printing import print_here, print_until
from tests.integration.sinking import Feed, opened, pipeline
from tests.obflow.hostile import ATTACKS, HOSTILE, obeyed, obeyed_on_a_terminal
from tests.research.fixtures import SYMBOL, frames
from tests.schemas.examples import EXAMPLES, load
from tests.schemas.nasty import raw_fields, written
from tests.sinks.records import origin_of
from tests.support.tiers import tiered

pytestmark = [pytest.mark.integration, pytest.mark.slow]

VENUE = "binance-futures"
OF_A_FILE = "".join(ATTACKS[kind] for kind in ("clear", "c1", "overwrite", "tear", "reversed", "unseen")) + "[red]"
OF_A_COLUMN = HOSTILE.replace("\\", "")
LETTER_ID = f"letter:{HOSTILE}:0"
UNREADABLE = b'{"junk": "' + HOSTILE.encode() + b'\x9b2J\xff"}'
SHOWN = (r"\x1b", r"\u001b", r"\u202e")
"""How an attack looks once it is escaped: where none of these is printed, nothing was attacked."""


@dataclass(frozen=True)
class Outside:
    """What the commands are run against.

    Attributes:
        settings: The broker, and a database of its own.
        folder: Where files may be written.
        recording: Frames whose instrument has a hostile name.
        exchange: Address of an exchange that answers every request with an attack.
    """

    settings: Settings
    folder: Path
    recording: Path
    exchange: str

    @property
    def flags(self) -> list[str]:
        where = {
            "kafka.bootstrap_servers": self.settings.kafka.bootstrap_servers,
            "kafka.topic_prefix": self.settings.kafka.topic_prefix,
            "kafka.partitions": self.settings.kafka.partitions,
            "clickhouse.host": self.settings.clickhouse.host,
            "clickhouse.port": self.settings.clickhouse.port,
            "clickhouse.database": self.settings.clickhouse.database,
            "clickhouse.password": self.settings.clickhouse.password.get_secret_value(),
        }
        return [f"--set={key}={value}" for key, value in where.items()]

    def run(self, command: str, *words: str, terminal: bool = False, **variables: str) -> bytes:
        """What a command that ends by itself prints."""
        return print_here(*command.split(), *self.flags, *words, terminal=terminal, **variables)

    def run_until(self, until: Callable[[bytes], bool], command: str, *words: str, terminal: bool = False) -> bytes:
        """What a role prints until the condition holds, and at its end."""
        return print_until(command, *self.flags, *words, until=until, terminal=terminal)

    def letters(self) -> int:
        """Dead letters on the log."""
        return sum(kafka_logs.end_offsets(self.settings, [topics.topic_name(self.settings, DEAD_LETTERS)]).values())

    def letter_count(self) -> Callable[[bytes], bool]:
        """Whether there is one more letter on the log than there was."""
        before = self.letters()
        return lambda _out: self.letters() > before


def says(*words: bytes) -> Callable[[bytes], bool]:
    return lambda out: all(word in out for word in words)


# ---- what is outside


@pytest.fixture(scope="module")
def outside(
    broker: str, clickhouse_server: ClickHouseSettings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outside]:
    database = "test_hostile_text"
    settings = pipeline(broker, clickhouse_server.model_copy(update={"database": database}))
    folder = tmp_path_factory.mktemp("hostile")
    fill_tables(settings)
    fill_topics(settings)
    with hostile_exchange() as exchange:
        yield Outside(settings, folder, hostile_recording(folder), exchange)
    with opened(clickhouse_server) as store:
        store.command(f"DROP DATABASE {database} SYNC")


def hostile(example: str, **changes: object) -> Record:
    record: Record = msgspec.structs.replace(load(EXAMPLES / example), venue=HOSTILE, symbol=HOSTILE, **changes)
    return record


def hostile_bytes(example: str) -> bytes:
    """The same as it would lie in a topic: our own codec writes no such names."""
    name = example.partition("/")[0]
    fields = raw_fields(name, encode(load(EXAMPLES / example)))
    return written(name, fields | {"venue": HOSTILE, "symbol": HOSTILE})


SAID = ("sentence", "observations", "risk", "summary", "model")
"""What a model, or its endpoint, says in a regime."""


def fill_tables(settings: Settings) -> None:
    letter = {"letter_id": LETTER_ID, "reason": HOSTILE, "error": HOSTILE, "payload": UNREADABLE, "role": "sink"}
    rows = {
        "dead_letters": hostile("dead-letters/v1/frame.json", **letter),
        "factors": hostile("factors/v1/ok.json"),
        "trades": hostile("trades/v1/buy.json"),
        "feed_status": hostile("feed-status/v1/live.json"),
        "derivatives": hostile("derivatives/v1/mark.json"),
        "feed_quality": hostile("feed-quality/v1/healthy.json"),
        "regimes": hostile("regimes/v3/llm.json", **dict.fromkeys(SAID, HOSTILE)),
        "llm_calls": hostile("llm-calls/v1/ok.json", model=HOSTILE, detail=HOSTILE, response=HOSTILE),
    }
    with opened(settings.clickhouse) as store:
        for name, record in rows.items():
            batch, position = RowBatch(TABLES[name]), Position("outside0", 0, 0)
            batch.add(Entry(position, TABLES[name].rows(record, position), b"", 0, origin_of(position)))
            store.insert(name, batch.arrow(1_763_700_000_000_000_000), name)
        store.command(f"ALTER TABLE feed_status ADD COLUMN `{OF_A_COLUMN}` UInt8")


def fill_topics(settings: Settings) -> None:
    for topic, example in (
        (L2, "l2/v1/snapshot.json"),
        (TRADES, "trades/v1/buy.json"),
        (DERIVATIVES, "derivatives/v1/mark.json"),
        (FEED_QUALITY, "feed-quality/v1/healthy.json"),
        (FACTORS, "factors/v1/ok.json"),
    ):
        send(settings, topic, hostile_bytes(example), UNREADABLE)


def send(settings: Settings, topic: Topic, *values: bytes) -> None:
    feed = Feed(settings, topic)
    for value in values:
        feed.send_bytes(value, key=HOSTILE)
    feed.flush()


def hostile_recording(folder: Path) -> Path:
    """The committed frames, of an instrument with a hostile name."""
    lines = []
    for line in frames(VENUE).read_text().splitlines():
        frame = json.loads(line)
        for name, changed in (("raw", json.dumps(HOSTILE)[1:-1]), ("request", quote(HOSTILE))):
            frame |= {name: frame[name].replace(SYMBOL, changed)} if name in frame else {}
        lines.append(json.dumps(frame))
    path = folder / f"{OF_A_FILE}.frames.jsonl"
    path.write_text("\n".join(lines))
    return path


@contextmanager
def hostile_exchange() -> Iterator[str]:
    class Attack(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(500, "\x1b[2Jnothing\x9b")
            self.end_headers()
            self.wfile.write(json.dumps({"code": -1, "msg": HOSTILE}, ensure_ascii=False).encode())

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Attack)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# ---- the commands


def settings(outside: Outside) -> Iterator[bytes]:
    config = outside.folder / f"{OF_A_FILE}.toml"
    config.write_text(f"[regimes]\nmodel = {json.dumps(HOSTILE)}\n")
    for words in ([], ["--origin"], ["--json"], ["--env"], ["--schema"]):
        yield outside.run("settings", "--config", str(config), *words, OBFLOW_CACHE=OF_A_FILE)
    yield outside.run("settings", terminal=True, OBFLOW_REGIMES__MODEL=HOSTILE)


def topics_apply(outside: Outside) -> Iterator[bytes]:
    yield outside.run("topics apply", f"--set=kafka.topic_prefix={HOSTILE}", "-v")
    yield outside.run("topics apply", f"--set=kafka.bootstrap_servers={HOSTILE}")


def topics_check(outside: Outside) -> Iterator[bytes]:
    yield outside.run("topics check", f"--set=kafka.topic_prefix={HOSTILE}")
    yield outside.run("topics check", "--json", f"--set=kafka.topic_prefix={HOSTILE}")


def doctor(outside: Outside) -> Iterator[bytes]:
    for words in (["--audit"], ["--json"]):
        yield outside.run("doctor", *words, OBFLOW_CACHE=f"/dev/null/{OF_A_FILE}")


def status(outside: Outside) -> Iterator[bytes]:
    for words in ([], ["--json"]):
        yield outside.run("status", "--every=0.1s", *words)
    yield outside.run("status", "--every=0.1s", f"--set=status.pages={HOSTILE}:1", terminal=True)


def top(outside: Outside) -> Iterator[bytes]:
    yield outside.run("top")  # what it draws is tried in tests/obflow/test_top.py
    yield outside.run("top", f"--set=kafka.{HOSTILE}=1")


def tail(outside: Outside) -> Iterator[bytes]:
    for words in (["trades"], ["l2", "--json"], ["factors"]):
        yield outside.run("tail", *words, "--from=start", "--count=2")
    yield outside.run("tail", HOSTILE)
    yield outside.run("tail", "factors", "--from", HOSTILE)


def kafka_(outside: Outside) -> Iterator[bytes]:
    folder = str(outside.folder / OF_A_FILE.replace(":", ""))
    yield print_until("kafka", "--port", "0", "--data", folder, until=says(b"listens on"))


def clickhouse(outside: Outside) -> Iterator[bytes]:
    folder = str(outside.folder / f"{OF_A_FILE}.engine")
    yield print_until("clickhouse", "--port", "0", "--data", folder, until=says(b"listens on"))


def scripted_model(outside: Outside) -> Iterator[bytes]:
    del outside  # it has nothing of a pipeline
    yield print_here("scripted-model", HOSTILE)


def demo(outside: Outside) -> Iterator[bytes]:
    words = ["--source", "recording", "--recording", str(outside.recording), "--venue", VENUE, "--workers", "1"]
    out = print_until("demo", *words, "--for", "3s", f"--set=regimes.model={HOSTILE}", terminal=True)
    assert b"no book came of any" in out, out  # its symbol is refused: the demo does not wait for what cannot come
    yield out


def query(outside: Outside) -> Iterator[bytes]:
    letters = "SELECT * FROM dead_letters"
    joined = "SELECT r.symbol, sentence, observations, risk, summary, response FROM regimes AS r CROSS JOIN llm_calls"
    for sql in (letters, joined):
        yield outside.run("query", sql, "--json")
        yield outside.run("query", sql, "--format", "table")
        for format_ in ("table", "tsv", "csv", "json"):
            yield outside.run("query", sql, "--format", format_, terminal=True)
    yield outside.run("query", "SELECT * FROM `" + HOSTILE + "`", "-v")  # noqa: S608


def produce(outside: Outside) -> Iterator[bytes]:
    urls = ["--websocket-url", f"ws://{outside.exchange}", "--rest-url", f"http://{outside.exchange}"]
    words = ["produce", VENUE, "--symbol", HOSTILE, *urls]
    yield outside.run_until(says(b"500"), *words, "-v")
    yield outside.run_until(says(b"500"), *words, "--set=log.format=console", terminal=True)


def record(outside: Outside) -> Iterator[bytes]:
    urls = ["--websocket-url", f"ws://{outside.exchange}", "--rest-url", f"http://{outside.exchange}"]
    there = outside.folder / f"{OF_A_FILE}.recorded.jsonl.gz"
    words = [VENUE, "--symbol", HOSTILE, *urls, "--out"]
    yield outside.run_until(says(b"instruments_not_listed"), "record", *words, str(there))
    there.touch()
    yield outside.run("record", *words, str(there))


def replay(outside: Outside) -> Iterator[bytes]:
    words = ["replay", str(outside.recording), "--venue", VENUE, "--limit-frames", "200"]
    for more in ([], ["--json"], [f"--shift={HOSTILE}"], ["--copies", "2", "-v"]):
        yield outside.run(*words, *more)


def backfill(outside: Outside) -> Iterator[bytes]:
    folder = ["--into", str(outside.folder / f"{OF_A_FILE}.days"), "--from", "2024-08-08"]
    there = [*folder, f"--set=tardis.datasets_url=http://{outside.exchange}"]
    yield outside.run("backfill", f"tardis:{HOSTILE}", "--symbol", "BTCUSDT", *there)
    yield outside.run("backfill", f"tardis:{VENUE}", "--symbol", HOSTILE, *there)
    yield outside.run("backfill", f"tardis:{VENUE}", "--symbol", "BTCUSDT", "--type", HOSTILE, *there)
    yield outside.run("backfill", f"tardis:{VENUE}", "--symbol", "BTCUSDT", "--to", HOSTILE, *there)
    outside.folder.joinpath(f"{OF_A_FILE}.days").touch()
    yield outside.run("backfill", f"tardis:{VENUE}", "--symbol", "BTCUSDT", *there)


def simulate(outside: Outside) -> Iterator[bytes]:
    out = str(outside.folder / f"{OF_A_FILE}.{{}}.frames.jsonl.gz")
    for words in ([], ["--json"], ["--symbol", HOSTILE]):
        yield outside.run("simulate", "--seconds", "1", "--record", out.format(len(words)), *words)
    yield outside.run("simulate", "--host", HOSTILE)
    yield outside.run("simulate", "--symbol", HOSTILE)


def process(outside: Outside) -> Iterator[bytes]:
    send(outside.settings, L2, UNREADABLE, hostile_bytes("l2/v1/invalid.json"))
    yield outside.run_until(outside.letter_count(), "process", "-v", "--set=log.format=console")
    yield print_until("process", f"--topic-prefix={HOSTILE}", *outside.flags)


def regimes(outside: Outside) -> Iterator[bytes]:
    send(outside.settings, FACTORS, UNREADABLE, hostile_bytes("factors/v1/ok.json"))
    model = [f"--set=regimes.model={HOSTILE}", f"--set=regimes.base_url=http://{outside.exchange}"]
    yield outside.run_until(outside.letter_count(), "regimes", "-v", "--set=log.format=console", *model)
    yield print_until("regimes", f"--topic-prefix={HOSTILE}", *outside.flags)


def sink(outside: Outside) -> Iterator[bytes]:
    send(outside.settings, TRADES, UNREADABLE, hostile_bytes("trades/v1/buy.json"))
    yield outside.run_until(outside.letter_count(), "sink", "--table", "trades", "-v")
    yield outside.run("sink", "--table", HOSTILE)


def tables_apply(outside: Outside) -> Iterator[bytes]:
    yield outside.run("tables apply", f"--set=clickhouse.user={HOSTILE}", "-v")
    yield outside.run("tables apply", f"--set=clickhouse.host={HOSTILE}")


def tables_check(outside: Outside) -> Iterator[bytes]:
    yield outside.run("tables check")
    yield outside.run("tables check", "--json")


def describe(outside: Outside) -> Iterator[bytes]:
    yield outside.run("describe", HOSTILE)
    yield outside.run("describe", "feed_status")
    yield outside.run("describe", "feed_status", "--json")


def dead_letters_list(outside: Outside) -> Iterator[bytes]:
    yield outside.run("dead-letters list")
    yield outside.run("dead-letters list", "--json")
    yield outside.run("dead-letters list", terminal=True)


def dead_letters_show(outside: Outside) -> Iterator[bytes]:
    yield outside.run("dead-letters show", LETTER_ID)
    yield outside.run("dead-letters show", LETTER_ID, "--json")
    yield outside.run("dead-letters show", HOSTILE)


def dead_letters_redrive(outside: Outside) -> Iterator[bytes]:
    yield outside.run("dead-letters redrive", LETTER_ID)
    yield outside.run("dead-letters redrive", HOSTILE, "-v")


def feeds(outside: Outside) -> Iterator[bytes]:
    yield outside.run("feeds")
    yield outside.run("feeds", "--hours")
    yield outside.run("feeds", "--all", "--json")


def runs_list(outside: Outside) -> Iterator[bytes]:
    yield outside.run("runs list")
    yield outside.run("runs list", "--json")
    yield outside.run("runs list", terminal=True)


def runs_drop(outside: Outside) -> Iterator[bytes]:
    yield outside.run("runs drop", HOSTILE)
    yield outside.run("runs drop", HOSTILE, "--yes", "-v")


def verify(outside: Outside) -> Iterator[bytes]:
    words = ["verify", str(outside.recording), "--venue", VENUE]
    yield print_here(*words)
    yield print_here(*words, "--json")
    yield print_here(*words, terminal=True)
    yield print_here("verify", str(outside.recording), "--venue", HOSTILE)


def factors(outside: Outside) -> Iterator[bytes]:
    words = ["factors", str(outside.recording), "--venue", VENUE]
    out = outside.folder / f"{OF_A_FILE}.csv"
    yield print_here(*words, "--digest", "--out", str(out))
    yield print_here(*words, "--json", "--out", str(out))
    yield print_here(*words, terminal=True)
    yield print_here(*words, "--symbol", HOSTILE + "x")
    assert HOSTILE.splitlines()[0] in out.read_text("utf-8")  # a file is data: exact


def book(outside: Outside) -> Iterator[bytes]:
    last = json.loads(outside.recording.read_text().splitlines()[-1])
    words = ["book", str(outside.recording), "--venue", VENUE, "--at", str(last["received_ns"])]
    yield print_here(*words, "--symbol", HOSTILE)
    yield print_here(*words, "--symbol", HOSTILE, "--json")
    yield print_here(*words, "--symbol", HOSTILE, terminal=True)
    yield print_here(*words[:-1], HOSTILE, "--symbol", HOSTILE)


def evaluate_regimes(outside: Outside) -> Iterator[bytes]:
    words = ["evaluate", "regimes", "--recording", str(outside.recording), "--venue", VENUE]
    yield print_here(*words, "--model", HOSTILE)
    yield print_here(*words, "--model", HOSTILE, "--json")
    yield print_here(*words, "--model", HOSTILE, terminal=True)
    yield outside.run("evaluate regimes", "--model", HOSTILE)
    yield outside.run("evaluate regimes", "--json")
    yield outside.run("evaluate regimes", terminal=True)


def compare_models(outside: Outside) -> Iterator[bytes]:
    words = ["regimes", "compare", "--recording", str(outside.recording), "--venue", VENUE, "--models", HOSTILE]
    words += ["--answers", str(outside.folder / "answers")]
    yield print_here(*words, "--dry-run")
    yield print_here(*words)
    yield print_here(*words, "--json")
    yield print_here(*words, terminal=True)
    yield print_here(*words, "--price", HOSTILE)


CASES: dict[str, Callable[[Outside], Iterator[bytes]]] = {
    "settings": settings,
    "topics apply": topics_apply,
    "topics check": topics_check,
    "doctor": doctor,
    "status": status,
    "top": top,
    "tail": tail,
    "kafka": kafka_,
    "clickhouse": clickhouse,
    "demo": demo,
    "scripted-model": scripted_model,
    "query": query,
    "produce": produce,
    "record": record,
    "replay": replay,
    "backfill": backfill,
    "simulate": simulate,
    "process": process,
    "regimes": regimes,
    "sink": sink,
    "tables apply": tables_apply,
    "tables check": tables_check,
    "describe": describe,
    "dead-letters list": dead_letters_list,
    "dead-letters show": dead_letters_show,
    "dead-letters redrive": dead_letters_redrive,
    "feeds": feeds,
    "runs list": runs_list,
    "runs drop": runs_drop,
    "verify": verify,
    "factors": factors,
    "book": book,
    "evaluate regimes": evaluate_regimes,
    "regimes compare": compare_models,
}

QUICK = (
    "topics check",
    "tail",
    "query",
    "process",
    "sink",
    "dead-letters list",
    "feeds",
    "runs list",
    "book",
)
"""What `make test` runs: one of each sort of what is printed; `make test-all` every command."""


def commands() -> list[str]:
    """Every command there is, those of groups by both words."""
    found = []
    for name, entry in cli.command_entries().items():
        command = cli.load_command(entry)
        found += [f"{name} {inner}" for inner in command.commands] if isinstance(command, TyperGroup) else [name]
    return found


def test_no_command_is_left_out() -> None:
    assert sorted(CASES) == sorted(commands())


@pytest.mark.parametrize("name", tiered(CASES, *QUICK))
def test_what_a_command_prints_controls_no_terminal(outside: Outside, name: str) -> None:
    everything = list(CASES[name](outside))
    for out in everything:
        assert obeyed_on_a_terminal(out) == "", out
    assert any(shown in out.decode() for out in everything for shown in SHOWN), everything


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_on_the_command_line_is_told_in_letters(name: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    for words in ([f"--{HOSTILE}"], [f"--set=kafka.{HOSTILE}=1", "-v"], [f"--config={HOSTILE}"], [f"--set={HOSTILE}"]):
        cli.main([*name.split(), *words])
        captured = capfdbinary.readouterr()
        assert obeyed(captured.out + captured.err) == ""
    cli.main([HOSTILE, name])
    assert obeyed(capfdbinary.readouterr().err) == ""


def test_an_answer_in_a_pipe_is_exact(outside: Outside) -> None:
    sql = "SELECT payload FROM dead_letters WHERE letter_id LIKE 'letter:%'"
    out = outside.run("query", sql, "--format", "csv")
    assert UNREADABLE.replace(b'"', b'""') in out
