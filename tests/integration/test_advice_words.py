"""Advice about words, files and settings is done, without a server: what was refused is taken, each time."""

from __future__ import annotations

import gzip
import json
import logging
import lzma
import socket
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
import structlog

from embedded import clickhouse_folder, clickhouse_server, jars, kafka
from embedded.demo import command as demo_command
from embedded.demo.children import metrics_ports
from embedded.demo.summary import Summary
from obflow import doctor, query
from obflow.durations import seconds_of
from obflow.metrics import Metrics
from obflow.settings import MetricsSettings, Settings
from processors.llm.beside import open_asker
from processors.regimes.rules import rule_settings
from processors.rollout.schedule import read_schedule
from processors.settings import RegimeSettings
from producers.exchanges import EXCHANGES
from producers.live.listing import _choose
from producers.messages import Frame, Via
from producers.selection import Selection
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.venues import simulated_venue
from schemas.errors import UsageError
from tests.contract.advice import ROOT
from tests.integration.advising import TIMES, Command, advice_in, commands_in, filled_in, refused

pytestmark = pytest.mark.integration

RECORDING = ROOT / "tests" / "recordings" / "binance-futures.frames.jsonl.gz"
VENUE = "--venue=binance-futures"
FUTURES = EXCHANGES["binance-futures"]
AT = "2024-01-01T00:00:10Z"


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings file but the test's own; and logging as it was, for commands set it up."""
    monkeypatch.chdir(tmp_path)
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """The first lines of a recording: enough for a book."""
    path = tmp_path / "short.frames.jsonl.gz"
    with gzip.open(RECORDING, "rt") as frames, gzip.open(path, "wt") as head:
        for number, line in enumerate(frames):
            if number < 600:
                head.write(line)
    return path


# ---- the command line


@pytest.mark.advice("did you mean `obflow {…}`?", "`obflow --help` lists them")
def test_a_command_that_is_not_there(run: Command) -> None:
    for words in ("docter", "zzz"):
        sentence = "did you mean `obflow {…}`?" if words == "docter" else "`obflow --help` lists them"
        [advised] = commands_in(run.refused(words, sentence=sentence))
        for _ in range(TIMES):
            assert "doctor" in run(*advised, *([] if "--help" in advised else ["--help"]))


@pytest.mark.advice("write it as --set section.name=value")
def test_a_setting_without_a_value(run: Command) -> None:
    run.refused("settings", "--set", "kafka.partitions", sentence="write it as --set section.name=value")
    for _ in range(TIMES):
        assert "kafka.partitions" in run("settings", "--set", "kafka.partitions=8")


@pytest.mark.advice("write 60s, 5m or 2h", "at most {…}h")
def test_lengths_of_time() -> None:
    for text in refused(lambda: seconds_of("--for", "soon"), "write 60s, 5m or 2h").split()[1:]:
        for _ in range(TIMES if text != "or" else 0):
            assert seconds_of("--for", text.strip(","))
    most = refused(lambda: seconds_of("--for", "200h", most_s=7 * 86_400), "at most {…}h").removeprefix("at most ")
    assert [seconds_of("--for", most, most_s=7 * 86_400) for _ in range(TIMES)] == [7 * 86_400.0] * TIMES


@pytest.mark.advice('write one, such as "SHOW TABLES"', "leave that out and choose one with --format {…}")
def test_statements_that_are_none(run: Command) -> None:
    advice = run.refused("query", " ", sentence='write one, such as "SHOW TABLES"')
    for _ in range(TIMES):
        assert query._statement(advice.partition('"')[2].rstrip('"')) == "SHOW TABLES"
    sentence = "leave that out and choose one with --format {…}"
    named = run.refused("query", "SELECT 1 FORMAT JSON", sentence=sentence)
    for choice in filled_in(named, sentence)[0].split("|"):
        assert query.Format(choice)
    for _ in range(TIMES):
        assert query._statement("SELECT 1") == "SELECT 1"


@pytest.mark.advice("write the statement in UTF-8")
def test_a_statement_that_is_no_text(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def given(statement: bytes) -> None:
        monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(statement), encoding="utf-8"))

    statement = "SELECT 'ü'"
    given(statement.encode("latin-1"))
    run.refused("query", "-", sentence="write the statement in UTF-8")
    for _ in range(TIMES):
        given(statement.encode("utf-8"))
        assert query._read("-", None) == statement


@pytest.mark.advice("unpack it, or pack it with gzip")
def test_a_recording_packed_otherwise(run: Command, short: Path, tmp_path: Path) -> None:
    plain = gzip.decompress(short.read_bytes()) if short.suffix == ".gz" else short.read_bytes()
    packed = tmp_path / "a.frames.jsonl.xz"
    packed.write_bytes(lzma.compress(plain))
    run.refused("verify", str(packed), VENUE, sentence="unpack it, or pack it with gzip")
    for content in (plain, gzip.compress(plain), plain):
        packed.write_bytes(content)
        run("verify", str(packed), VENUE)


@pytest.mark.advice("give --from and --to with a venue tardis:EXCHANGE")
def test_the_past_of_a_venue_itself(run: Command, tmp_path: Path) -> None:
    sentence, words = (
        "give --from and --to with a venue tardis:EXCHANGE",
        ("--symbol", "BTCUSDT", "--out", str(tmp_path / "a.frames.jsonl.gz"), "--from", "2024-01-01"),
    )
    for venue in ("bybit", "tardis:bybit"):
        run.refused("record", venue, *words, sentence=sentence)
    nobody = "--set=tardis.base_url=http://127.0.0.1:9"
    for _ in range(TIMES):  # done: what is told now is that nobody is there
        run.refused("record", "bybit", *words, sentence=sentence)
        run("record", "tardis:bybit", *words, "--to", "2024-01-02", nobody, code=3)


@pytest.mark.advice("give --raw with it", "give --from and --to with it, or name the venue itself")
def test_a_venues_own_messages_of_the_past(run: Command, tmp_path: Path) -> None:
    words = ("--symbol", "BTCUSDT", "--out", str(tmp_path / "a.frames.jsonl.gz"))
    past = ("--from", "2024-01-01", "--to", "2024-01-02")
    nobody = "--set=tardis.base_url=http://127.0.0.1:9"
    run.refused("record", "tardis:bybit", *words, *past, "--channel", "tickers", sentence="give --raw with it")
    sentence = "give --from and --to with it, or name the venue itself"
    run.refused("record", "tardis:bybit", *words, "--raw", sentence=sentence)
    for _ in range(TIMES):  # done: what is told now is that nobody is there
        run("record", "tardis:bybit", *words, *past, "--channel", "tickers", "--raw", nobody, code=3)


@pytest.mark.advice("write --symbols all, or --symbol for one", "give one of them")
def test_what_is_to_be_produced(run: Command) -> None:
    nobody = ("--set=kafka.bootstrap_servers=127.0.0.1:9", "--set=kafka.request_timeout_seconds=0.5")
    run.refused("produce", "okx", "--symbols", "some", sentence="write --symbols all, or --symbol for one")
    run.refused("produce", "okx", "--symbol", "A", "--quote", "USDT", sentence="give one of them")
    for _ in range(TIMES):  # done: what is told now is that no broker is there
        run("produce", "okx", "--symbols", "all", *nobody, code=3)
        run("produce", "okx", "--quote", "USDT", *nobody, code=3)


# ---- settings


@pytest.mark.advice("give --config another path", "mend this: {…}")
def test_a_settings_file_that_cannot_be_read(run: Command, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    run.refused("settings", "--config", str(file), sentence="give --config another path")
    file.write_text("[kafka]\npartitions = \n")
    assert "line 2" in run.refused("settings", "--config", str(file), sentence="mend this: {…}")
    file.write_text("[kafka]\npartitions = 7\n")
    for _ in range(TIMES):
        assert json.loads(run("settings", "--json", "--config", str(file)))["kafka.partitions"] == 7


@pytest.mark.advice("did you mean {…}?", "`obflow settings` lists them all")
def test_a_setting_that_is_not_there(run: Command, tmp_path: Path) -> None:
    [near] = filled_in(run("settings", "--set", "kafka.partition=7", code=2), "did you mean {…}?")
    for _ in range(TIMES):
        assert json.loads(run("settings", "--json", "--set", f"{near}=7"))["kafka.partitions"] == 7
    [advised] = commands_in(run.refused("settings", "--set", "zzz.y=7", sentence="`obflow settings` lists them all"))
    assert all("kafka.partitions" in run(*advised) for _ in range(TIMES))
    (tmp_path / "obflow.toml").write_text("[zzz]\ny = 7\n")  # the same, where every command is told it
    [advised] = commands_in(run.refused("topics", "check", sentence="`obflow settings` lists them all"))
    assert all("OBFLOW_KAFKA__PARTITIONS" in run(*advised, code=2) for _ in range(TIMES))


@pytest.mark.advice("`obflow settings` lists them all and what each means")
def test_a_value_that_is_not_acceptable(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBFLOW_KAFKA__PARTITIONS", "many")
    sentence = "`obflow settings` lists them all and what each means"
    [advised] = commands_in(run.refused("topics", "check", sentence=sentence))
    for _ in range(TIMES):
        assert "OBFLOW_KAFKA__PARTITIONS" in run(*advised, code=2), "with the fault still there"


@pytest.mark.advice("did you mean {…}?")
@pytest.mark.parametrize("value", ["partitions", '{"partitions": 7}'])
def test_a_section_is_no_variable(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OBFLOW_KAFKA", value)
    [near] = filled_in(refused(Settings.load, "did you mean {…}?"), "did you mean {…}?")
    monkeypatch.delenv("OBFLOW_KAFKA")
    monkeypatch.setenv(near, '{"client.id": "mine"}')
    assert [Settings.load().kafka.options for _ in range(TIMES)] == [{"client.id": "mine"}] * TIMES


@pytest.mark.advice("keep one of them", "check the path and its permissions")
def test_secrets_that_are_files(tmp_path: Path) -> None:
    file = tmp_path / "password"
    given: dict[str, object] = {"clickhouse.password_file": str(file)}
    refused(lambda: Settings.load(given), "check the path and its permissions")
    file.write_text("secret\n")
    refused(lambda: Settings.load({**given, "clickhouse.password": "other"}), "keep one of them")
    for one in (given, {"clickhouse.password": "secret"}):
        for _ in range(TIMES):
            assert Settings.load(one).clickhouse.password.get_secret_value() == "secret"


@pytest.mark.advice("choose another metrics.port, or 0 for none", "set it to {…} at most")
def test_ports_for_metrics() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = MetricsSettings(port=taken.getsockname()[1])
        refused(lambda: Metrics("x").served(busy).__enter__(), "choose another metrics.port, or 0 for none")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            free = probe.getsockname()[1]
        for port in (free, 0):
            for _ in range(TIMES):
                with Metrics("x").served(MetricsSettings(port=port)):
                    pass
    names = ("a", "b", "c")
    settings = Settings(metrics=MetricsSettings(port=65_534))
    [most] = filled_in(
        refused(lambda: metrics_ports(settings, names), "set it to {…} at most"), "set it to {…} at most"
    )
    for _ in range(TIMES):
        assert len(metrics_ports(Settings(metrics=MetricsSettings(port=int(most))), names)) == 3


@pytest.mark.advice(
    "name {…}model",
    "set regimes.rollout to true",
    "write it as `0 24, 5 24, 100 0`: percent and hours, from 0 on, rising",
    "write it as http://127.0.0.1:8000/v1",
    "put the key into regimes.api_key_file",
    "set {…}input_price and {…}output_price, 0 where it is free",
    "a label is entered above the one and left below the other: lower the first",
)
def test_settings_of_regimes(tmp_path: Path) -> None:
    def desk(**chosen: Any) -> object:
        settings = Settings(regimes=RegimeSettings(**chosen))
        return open_asker(settings.regimes, Metrics("regimes"), lambda partition, emit: None)

    key = tmp_path / "key"
    key.write_text("sk-1")
    faults: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
        ({"base_url": "http://127.0.0.1:1/v1"}, "name regimes.model", {"model": "m"}),
        ({"base_url": "nowhere", "model": "m"}, "write it as http://127.0.0.1:8000/v1", {}),
        (
            {"base_url": "http://k:k@127.0.0.1:1/v1", "model": "m"},
            "put the key into regimes.api_key_file",
            {"base_url": "http://127.0.0.1:1/v1", "api_key_file": key},
        ),
        (
            {"base_url": "http://127.0.0.1:1/v1", "model": "m", "budget_usd_per_day": 1.0},
            "set regimes.input_price and regimes.output_price, 0 where it is free",
            {"input_price": 0.0, "output_price": 0.0},
        ),
        (
            {"base_url": "http://127.0.0.1:1/v1", "model": "m", "green_model": "n"},
            "set regimes.rollout to true",
            {"rollout": True},
        ),
    ]
    for wrong, sentence, changed in faults:
        advice = refused(lambda wrong=wrong: desk(**wrong), sentence)  # type: ignore[misc]
        right = {**wrong, **(changed or {"base_url": advice.split()[-1]})}
        assert all(desk(**right) for _ in range(TIMES))
    sentence = "write it as `0 24, 5 24, 100 0`: percent and hours, from 0 on, rising"
    refused(lambda: read_schedule("5 24"), sentence)
    assert all(read_schedule(sentence.split("`")[1]) for _ in range(TIMES))
    sentence = "a label is entered above the one and left below the other: lower the first"
    refused(lambda: rule_settings(RegimeSettings(lean_leave=2.0)), sentence)
    assert all(rule_settings(RegimeSettings(lean_leave=0.4)) for _ in range(TIMES))


# ---- recordings


@pytest.mark.advice(
    "did you mean {…}?", "there are {…}", "it holds {…}{…}", "write 2024-08-08T23:54:20.5Z, or nanoseconds since 1970"
)
def test_words_about_a_recording(run: Command, short: Path) -> None:
    book = ["book", str(short), "--symbol=BTCUSDT"]
    [near] = filled_in(run(*book, "--venue=binance-future", f"--at={AT}", code=2), "did you mean {…}?")
    known = filled_in(run(*book, "--venue=zzz", f"--at={AT}", code=2), "there are {…}")[0].split(", ")
    assert near in known
    held = run("book", str(short), VENUE, "--symbol=ZZZ", f"--at={AT}", code=2)
    symbol = advice_in(held, "it holds {…}").removeprefix("it holds ").split(", ")[0].strip()
    sentence = "write 2024-08-08T23:54:20.5Z, or nanoseconds since 1970"
    run.refused(*book, VENUE, "--at=then", sentence=sentence)
    for moment in ("2024-01-01T00:00:05.5Z", str(1_704_067_205_500_000_000)):
        for _ in range(TIMES):
            run("book", str(short), f"--venue={near}", f"--symbol={symbol}", f"--at={moment}")


@pytest.mark.advice("end the file's name in one of them", "give --out another path")
def test_tables_of_factors(run: Command, short: Path, tmp_path: Path) -> None:
    factors = ["factors", str(short), VENUE]
    run.refused(*factors, f"--out={tmp_path}/f.txt", sentence="end the file's name in one of them")
    run.refused(*factors, "--out=/nowhere/f.csv", sentence="give --out another path", code=1)
    for name in ("f.csv", "f.parquet", "f.csv"):
        run(*factors, f"--out={tmp_path / name}")
        assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.advice(
    "check the path",
    "check the file and its permissions",
    "fetch it again, or read what is before with --until-damage",
    "a line is one JSON object with received_ns, via and raw; --until-damage reads those before",
)
def test_recordings_that_cannot_be_read(run: Command, short: Path, tmp_path: Path) -> None:
    run.refused("verify", str(tmp_path / "none"), VENUE, sentence="check the path")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    run.refused("verify", str(loop), VENUE, sentence="check the file and its permissions", code=1)
    whole, cut = short.read_bytes(), tmp_path / "cut.frames.jsonl.gz"
    cut.write_bytes(whole[: len(whole) * 9 // 10])
    sentence = "fetch it again, or read what is before with --until-damage"
    run.refused("verify", str(cut), VENUE, sentence=sentence, code=1)
    for _ in range(TIMES):
        assert "good lines are read" in run("verify", str(cut), VENUE, "--until-damage")
    cut.write_bytes(whole)
    junk = tmp_path / "junk.frames.jsonl"
    junk.write_text('{"received_ns": "soon"}\n')
    sentence = "a line is one JSON object with received_ns, via and raw; --until-damage reads those before"
    run.refused("verify", str(junk), VENUE, sentence=sentence, code=1)
    run("verify", str(junk), VENUE, "--until-damage", code=1)  # before the first line there is nothing
    junk.write_bytes(gzip.decompress(whole) + b'{"received_ns": "soon"}\n')
    assert "good lines are read" in run("verify", str(junk), VENUE, "--until-damage")
    junk.write_bytes(gzip.decompress(whole))
    for path in (cut, junk):
        for _ in range(TIMES):
            assert "BTCUSDT" in run("verify", str(path), VENUE)


@pytest.mark.advice("name its venue with --venue {…}")
def test_a_recording_says_which_venue_it_is_of(run: Command, short: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.frames.jsonl.gz"
    run("simulate", "--venue=binance", "--symbol=BTCUSDT", "--seconds=3", f"--record={own}")
    advice = run.refused("verify", str(own), VENUE, sentence="name its venue with --venue {…}")
    for _ in range(TIMES):
        assert "BTCUSDT" in run("verify", str(own), f"--venue={advice.split()[-1]}")
    run("verify", str(short), VENUE)  # one that does not say is taken at its word


@pytest.mark.advice("ask with --at from {…} to {…}")
def test_a_book_is_shown_within_its_recording_alone(run: Command, short: Path) -> None:
    book = ["book", str(short), VENUE, "--symbol=BTCUSDT"]
    for wrong in ("1999-01-01T00:00:00Z", "2099-01-01T00:00:00Z"):
        advice = run.refused(*book, f"--at={wrong}", sentence="ask with --at from {…} to {…}")
        first, last = advice.split()[-3], advice.split()[-1]
        for at in (first, last):
            assert "BTCUSDT" in run(*book, f"--at={at}")


@pytest.mark.advice(
    "let it end in {…}",
    "use one of {…}",
    "write it as the venue does: {…}",
    "name one --venue",
    "choose another name",
    "give --symbol BTCUSDT",
)
def test_words_of_the_simulator(run: Command, tmp_path: Path) -> None:
    simulate, seconds = "simulate", "--seconds=1"
    good = f"--record={tmp_path}/a.frames.jsonl.gz"
    end = run.refused(simulate, seconds, f"--record={tmp_path}/a.txt", sentence="let it end in {…}").split()[-1]
    venues = (
        run.refused(simulate, "--venue=kraken", seconds, good, sentence="use one of {…}").split("of ")[1].split(", ")
    )
    advice = run.refused(simulate, "--symbol=btc", seconds, good, sentence="write it as the venue does: {…}")
    twice = [f"--venue={venue}" for venue in (*venues, venues[0])][:2]
    run.refused(simulate, *twice, seconds, good, sentence="name one --venue")
    for number in range(TIMES):
        right = [f"--venue={venues[0]}", f"--symbol={advice.split()[-1]}", f"--record={tmp_path}/{number}{end}"]
        run(simulate, seconds, *right)
        run.refused(simulate, seconds, *right, sentence="choose another name")
    venue = simulated_venue(venues[0])
    symbol = refused(lambda: SimulatedExchange(venue, []), "give --symbol BTCUSDT").split()[-1]
    assert all(SimulatedExchange(venue, [symbol]) for _ in range(TIMES))


@pytest.mark.advice(
    "give --record FOLDER, too", "there are {…}", "give --symbol, as the venue writes it: --symbol BTCUSDT"
)
def test_words_of_producers_and_sinks(run: Command) -> None:
    venues = (
        run.refused("produce", "zzz", "--symbol=X", sentence="there are {…}").removeprefix("there are ").split(", ")
    )
    tables = run.refused("sink", "--table=zzz", sentence="there are {…}").removeprefix("there are ").split(", ")
    symbol = run.refused("produce", venues[0], sentence="give --symbol, as the venue writes it: --symbol BTCUSDT")
    nowhere = "--set=kafka.bootstrap_servers=127.0.0.1:1"
    run.refused("produce", venues[0], "--symbol=X", "--rotate=1h", sentence="give --record FOLDER, too")
    for _ in range(TIMES):  # the words are taken: now it is the broker that is missing
        assert "no Kafka broker answers" in run("produce", venues[0], *symbol.split()[-2:], nowhere, code=3)
    assert {table.strip() for table in tables} >= {"factors", "trades"}


@pytest.mark.advice("leave it out", "did you mean {…}?")
def test_symbols_that_a_venue_does_not_trade() -> None:
    body = {"symbols": [_listed("BTCUSDT", "0.1"), _listed("ETHUSDT", "0")], "rateLimits": []}
    [listed] = FUTURES.parse(Frame(0, Via.REST, "", "/fapi/v1/exchangeInfo", json.dumps(body).encode()))
    refused(lambda: _choose(FUTURES, Selection(("BTCUSDT", "ETHUSDT")), listed), "leave it out", UsageError)  # type: ignore[arg-type]
    with pytest.raises(UsageError) as raised:
        _choose(FUTURES, Selection(("BTCUSD",)), listed)  # type: ignore[arg-type]
    [near] = filled_in(str(raised.value), "did you mean {…}?")
    for _ in range(TIMES):
        assert set(_choose(FUTURES, Selection((near.split(", ")[0],)), listed)) == {"BTCUSDT"}  # type: ignore[arg-type]


@pytest.mark.advice("there is {…}")
def test_a_currency_that_a_venue_does_not_trade_in() -> None:
    body = {"symbols": [_listed("BTCUSDT", "0.1")], "rateLimits": []}
    [listed] = FUTURES.parse(Frame(0, Via.REST, "", "/fapi/v1/exchangeInfo", json.dumps(body).encode()))
    wanted = Selection(quotes=frozenset({"USDD"}))
    with pytest.raises(UsageError) as raised:
        _choose(FUTURES, wanted, listed)  # type: ignore[arg-type]
    [there] = filled_in(str(raised.value), "there is {…}")
    for _ in range(TIMES):
        chosen = Selection(quotes=frozenset(there.split(", ")))
        assert set(_choose(FUTURES, chosen, listed)) == {"BTCUSDT"}  # type: ignore[arg-type]


def _listed(symbol: str, tick: str) -> dict[str, object]:
    filters = [
        {"filterType": "PRICE_FILTER", "tickSize": tick, "minPrice": "1", "maxPrice": "9"},
        {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "1", "maxQty": "9"},
    ]
    more = {"contractType": "PERPETUAL", "status": "TRADING", "baseAsset": symbol[:3], "quoteAsset": "USDT"}
    return {"symbol": symbol, "pair": symbol, "marginAsset": "USDT", **more, "filters": filters}


# ---- the machine, the demo and the embedded default


@pytest.mark.advice(
    "`make setup` installs what is missing",
    "`make setup` installs all of obflow",
    "run `make setup`, or `pip install obflow[embedded]`",
)
def test_make_setup_is_there_and_is_what_made_this_environment() -> None:
    """It fetches packages, so that it is gone through without being run; that it works, this environment shows."""
    for _ in range(TIMES):
        done = subprocess.run(["make", "--dry-run", "setup"], cwd=ROOT, capture_output=True, text=True, check=True)
        assert "embedded.jars fetch" in done.stdout
    assert [doctor._packages().ok, doctor._python().ok] == [True, True]


@pytest.mark.advice("set OBFLOW_CACHE to one that can", "free some space, or set OBFLOW_CACHE elsewhere")
def test_a_cache_folder_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    bad = tmp_path / "file" / "cache"
    advice_in(doctor._cache_folder(Settings(cache=bad)).remedy, "set OBFLOW_CACHE to one that can")
    refused(lambda: jars._require_writable(bad), "set OBFLOW_CACHE to one that can")
    usage = doctor.shutil.disk_usage(tmp_path)
    full = tmp_path / "full"
    monkeypatch.setattr(
        doctor.shutil, "disk_usage", lambda path: usage._replace(free=5 if path == full else doctor.MIN_FREE_BYTES)
    )
    advice_in(doctor._cache_folder(Settings(cache=full)).remedy, "free some space, or set OBFLOW_CACHE elsewhere")
    monkeypatch.setenv("OBFLOW_CACHE", str(tmp_path / "good"))
    for _ in range(TIMES):
        assert doctor._cache_folder(Settings.load()).ok
        jars._require_writable(Settings.load().cache)


@pytest.mark.advice("raise it with `ulimit -n {…}`")
def test_too_few_open_files() -> None:
    ask = (
        f"{sys.executable} -c 'from obflow import doctor; found = doctor._open_files(); print(found.ok, found.remedy)'"
    )

    def said(limit: str) -> str:
        return subprocess.run(["bash", "-c", f"{limit}; {ask}"], capture_output=True, text=True, check=True).stdout

    advised = advice_in(said("ulimit -S -n 256"), "raise it with `ulimit -n {…}`").split("`")[1]
    for times in range(1, TIMES + 1):
        again = "; ".join([advised.replace("ulimit", "ulimit -S")] * times)
        assert said(f"ulimit -S -n 256; {again}").startswith("True")


@pytest.mark.advice("`obflow doctor -v` shows where")
def test_a_check_that_breaks(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        name = "broken"

        @staticmethod
        def load() -> None:
            raise ZeroDivisionError("by zero")

    monkeypatch.setattr(doctor, "entry_points", lambda group: [Broken])
    [advised] = commands_in(run.refused("doctor", sentence="`obflow doctor -v` shows where", code=1))
    for _ in range(TIMES):
        said = run(*advised, code=1)
        assert "ZeroDivisionError" in said
        assert "in load" in said, "where"


@pytest.mark.advice(
    "name one with --recording FILE",
    "give another one with --recording FILE",
    "give --venue one of {…}",
    "add --source recording",
    "give --venue {…} alone",
    "leave --symbol out",
    "keep its data and logs with --data DIR",
    "give --data another one",
)
def test_words_of_the_demo(run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: Path) -> None:
    run.refused("demo", "--source=recording", sentence="name one with --recording FILE")
    (tmp_path / "file").write_text("")
    run.refused("demo", f"--data={tmp_path}/file/x", sentence="give --data another one")
    assert "is no folder" in run("demo", f"--data={tmp_path}/file", code=2)
    for symbol in ("a b", "bybit:BTC-USDT"):
        run.refused("demo", f"--symbol={symbol}", sentence="write it as the venue does: {…}")
    (tmp_path / "damaged").write_text("no frame\n")
    for name in ("file", "damaged"):
        words = ("demo", "--source=recording", f"--recording={tmp_path / name}")
        run.refused(*words, sentence="give another one with --recording FILE")
    run.refused("demo", f"--recording={short}", sentence="add --source recording")
    good = Summary(messages=1, factors=1)
    monkeypatch.setattr(demo_command, "run", lambda *_: good)  # what runs is another test's
    recorded = ("demo", "--source=recording", f"--recording={short}")
    for _ in range(TIMES):
        run(*recorded, f"--data={tmp_path}/data")
    run.refused(*recorded, "--symbol=BTCUSDT", sentence="leave --symbol out")
    alone = "give --venue {…} alone"
    ((venue,),) = (filled_in(run.refused(*recorded, "--venue=binance-futures", "--venue=okx", sentence=alone), alone),)
    run(*recorded, f"--venue={venue}")
    venues = "give --venue one of {…}"
    for source in ("simulator", "live"):
        for venue in filled_in(run.refused("demo", f"--source={source}", "--venue=foo", sentence=venues), venues)[
            0
        ].split(", "):
            run("demo", f"--source={source}", f"--venue={venue}")
    monkeypatch.setattr(demo_command, "run", lambda *_: Summary(lost=1))
    run.refused("demo", sentence="keep its data and logs with --data DIR", code=1)
    for _ in range(TIMES):
        said = run("demo", f"--data={tmp_path}/kept", code=1)
        assert f"the data is kept in {tmp_path}/kept" in said
        assert "1 were lost and 0 doubled: its data and logs are kept, as said above" in said
        assert (tmp_path / "kept").is_dir()


@pytest.mark.advice("give --port to start one beside that")
def test_a_server_beside_those_of_the_settings(run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OBFLOW_CLICKHOUSE__HOST", "engine")
    run.refused("clickhouse", sentence="give --port to start one beside that")
    served: list[int] = []
    monkeypatch.setattr(clickhouse_server, "serve", lambda folder, *, port, ready: served.append(port))
    for _ in range(TIMES):
        run("clickhouse", "--port=0", f"--data={tmp_path}")
    assert served == [0] * TIMES


@pytest.mark.advice(
    "choose another, or 0 for a free one",
    "choose another folder",
    "connect to that one, stop it, or choose another folder",
    "stop it, or choose another folder",
    "use {…}",
)
def test_ports_and_folders_of_the_embedded_default(tmp_path: Path) -> None:
    (tmp_path / "k").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = taken.getsockname()[1]
        sentence = "choose another, or 0 for a free one"
        refused(lambda: clickhouse_server._listen("127.0.0.1", busy), sentence)
        refused(lambda: kafka.EmbeddedKafka(tmp_path / "k", port=busy)._configure(), sentence)
        for _ in range(TIMES):
            clickhouse_server._listen("127.0.0.1", 0).close()
            assert kafka.EmbeddedKafka(tmp_path / "k", port=0)._configure()[0] != busy
    (tmp_path / "file").write_text("")
    refused(lambda: clickhouse_folder.lock_folder(tmp_path / "file" / "x"), "choose another folder")
    refused(kafka.EmbeddedKafka(tmp_path / "file" / "x")._claim_data, "choose another folder")
    lock, claimed = clickhouse_folder.lock_folder(tmp_path / "c"), kafka.EmbeddedKafka(tmp_path / "k")
    claimed._claim_data()
    sentence = "connect to that one, stop it, or choose another folder"
    refused(lambda: clickhouse_folder.lock_folder(tmp_path / "c"), sentence)
    refused(kafka.EmbeddedKafka(tmp_path / "k")._claim_data, "stop it, or choose another folder")
    for number in range(TIMES):
        clickhouse_folder.lock_folder(tmp_path / f"c{number}").close()
        other = kafka.EmbeddedKafka(tmp_path / f"k{number}")
        other._claim_data()
        other._release_data()
    lock.close()
    claimed._release_data()
    for _ in range(TIMES):  # it was stopped
        clickhouse_folder.lock_folder(tmp_path / "c").close()
        again = kafka.EmbeddedKafka(tmp_path / "k")
        again._claim_data()
        again._release_data()
    host = refused(lambda: clickhouse_server.serve(tmp_path, host="0.0.0.0"), "use {…}").split()[-1]  # noqa: S104
    assert all(clickhouse_server.is_loopback(host) for _ in range(TIMES))
