"""Days of a vendor's data over HTTP: whole files or none, gone on with where they ended, and played once."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from obflow.cli import main
from obflow.clock import SystemClock
from obflow.settings import Settings
from producers.backfill import Backfill
from producers.live.datasets import TRIES, Day, Fetched, days_of, fetch_days
from producers.recordings.merged import MergedReplay
from producers.recordings.playing import PLAYED, PlayedFiles, run_replay
from producers.recordings.replay import Replay
from producers.settings import TardisSettings
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.recording_files import write_recording
from producers.simulator.venues import simulated_venue
from schemas.errors import EXIT_USAGE, ExchangeUnreachable, FatalError, UsageError
from schemas.messages import Kind, L2Record
from schemas.topics import L2
from schemas.units import NS_PER_SECOND
from tests.integration.advising import TIMES, flags, refused
from tests.integration.backends import free_port
from tests.integration.datasets_server import KEY, DatasetsServer, datasets_server
from tests.integration.producing import fresh_topics, read_topic
from tests.producers.tardis_data import L2_HEADER
from tests.support.parts import in_parts
from tests.support.patience import patient

pytestmark = pytest.mark.integration

EXCHANGE, SYMBOL = "binance-futures", "BTCUSDT"
DAYS = days_of(EXCHANGE, ["incremental_book_L2"], [SYMBOL], "2024-08-08", "2024-08-10")
US = 1_723_075_200_000_000
NS_PER_DAY = 86_400 * NS_PER_SECOND


def text_of(day: Day, changes: int = 400) -> str:
    """A whole book and some changes of a day, of numbers that do not pack well."""
    start = US + (day.day.toordinal() - DAYS[0].day.toordinal()) * 86_400_000_000
    draw = Random(day.name)
    head = f"{day.exchange},{day.symbol}"
    rows = [
        f"{head},{start},{start},true,bid,99.5,1",
        f"{head},{start},{start},true,ask,100.5,1",
        *(
            f"{head},{at},{at},false,bid,{draw.randint(9_000, 9_949) / 100:.2f},{draw.random():.8f}"
            for at in range(start + 1_000, start + 1_000 * changes, 1_000)
        ),
    ]
    return "".join(f"{row}\n" for row in (L2_HEADER, *rows))


def filled(server: DatasetsServer, days: list[Day] = DAYS) -> None:
    for day in days:
        server.put(day.path, text_of(day))


def settings_of(server: DatasetsServer, key_file: Path | None = None) -> TardisSettings:
    return TardisSettings(datasets_url=server.url, api_key_file=key_file)


async def fetch(
    server: DatasetsServer, folder: Path, days: list[Day] = DAYS, key_file: Path | None = None, **more: Any
) -> Fetched:
    stop = more.pop("stop", asyncio.Event())
    return await fetch_days(days, folder, settings_of(server, key_file), clock=SystemClock(), stop=stop, **more)


def unpacked(folder: Path) -> dict[str, str]:
    return {path.name: gzip.decompress(path.read_bytes()).decode() for path in sorted(folder.glob("*.gz"))}


def parts(folder: Path) -> list[Path]:
    """What lies there of files that are not whole."""
    return list(folder.glob("*.part"))


EXPECTED = {day.name: text_of(day) for day in DAYS}


async def test_every_day_comes_whole_and_is_not_asked_for_again(tmp_path: Path) -> None:
    async with datasets_server() as server:
        filled(server)
        first = await fetch(server, tmp_path / "days")
        asked = len(server.ranges)
        second = await fetch(server, tmp_path / "days")

    assert unpacked(tmp_path / "days") == EXPECTED
    assert [path.name for path in first.came] == [path.name for path in second.kept] == [day.name for day in DAYS]
    assert (asked, len(server.ranges)) == (3, 3)


async def test_a_full_disk_is_told_at_once_and_no_fault_of_the_server(tmp_path: Path) -> None:
    (tmp_path / f"{DAYS[0].name}.part").symlink_to("/dev/full")
    async with datasets_server() as server:
        filled(server)
        with pytest.raises(FatalError, match=r"cannot be written \(No space left on device\)"):
            await fetch(server, tmp_path)

    assert len(server.ranges) == 1


@pytest.mark.parametrize("failures", [{"cut": 3}, {"busy": 2}, {"down": 2}, {"cut": 2, "busy": 1, "down": 1}])
async def test_what_fails_on_the_way_is_gone_on_with(tmp_path: Path, failures: dict[str, int]) -> None:
    async with datasets_server() as server:
        filled(server)
        server.failing.update(failures)
        await fetch(server, tmp_path)
        whole = sum(map(len, server.files.values()))

    assert unpacked(tmp_path) == EXPECTED
    assert server.sent == whole, "no byte came twice"
    assert parts(tmp_path) == []


async def test_a_server_without_ranges_sends_the_whole_file_anew(tmp_path: Path) -> None:
    async with datasets_server() as server:
        filled(server)
        server.failing.update({"cut": 1, "no range": 5})
        await fetch(server, tmp_path)
    assert unpacked(tmp_path) == EXPECTED


async def test_a_file_that_changes_meanwhile_is_fetched_from_its_begin(tmp_path: Path) -> None:
    day = DAYS[0]
    async with datasets_server() as server:
        filled(server)
        server.failing["cut"] = 1
        server.put(day.path, text_of(day, 900))

        server.after_cut = lambda: server.put(day.path, text_of(day, 50))
        await fetch(server, tmp_path, [day])
    assert unpacked(tmp_path) == {day.name: text_of(day, 50)}


async def test_a_fetch_that_was_stopped_goes_on_with_the_next(tmp_path: Path) -> None:
    async with datasets_server() as server:
        filled(server)
        server.failing["cut"] = 1
        stop = asyncio.Event()

        server.after_cut = stop.set
        stopped = await fetch(server, tmp_path, stop=stop)
        assert stopped.came == []
        assert len(parts(tmp_path)) == 1
        await fetch(server, tmp_path)

    assert unpacked(tmp_path) == EXPECTED
    assert server.sent == sum(map(len, server.files.values()))


async def test_a_day_that_is_not_there_is_told_and_the_others_come(tmp_path: Path) -> None:
    async with datasets_server() as server:
        filled(server, DAYS[1:])
        found = await fetch(server, tmp_path)
    assert found.missing == DAYS[:1]
    assert list(unpacked(tmp_path)) == [day.name for day in DAYS[1:]]


@pytest.mark.advice("run it again: it goes on where it ended")
@pytest.mark.exhaustive
async def test_a_server_that_is_down_is_asked_so_often_and_a_damaged_archive_is_not_kept(tmp_path: Path) -> None:
    day = DAYS[0]
    async with datasets_server() as server:
        filled(server)
        server.failing["down"] = TRIES + 1
        with pytest.raises(ExchangeUnreachable, match="HTTP 503"):
            await fetch(server, tmp_path, [day])
        for _ in range(TIMES):
            assert (await fetch(server, tmp_path, [day])).missing == []

        damaged, whole = DAYS[1], server.files[DAYS[1].path]
        middle = len(whole) // 2
        for broken in (
            whole[:-40] + bytes(40),
            whole[:middle] + bytes(400) + whole[middle + 400 :],
            whole[:-9],
            b"text",
        ):
            server.files[damaged.path] = broken
            with pytest.raises(ExchangeUnreachable, match="the archive is damaged"):
                await fetch(server, tmp_path, [damaged])
    assert list(unpacked(tmp_path)) == [day.name]
    assert parts(tmp_path) == []


async def test_an_answer_with_nothing_in_it_is_no_day(tmp_path: Path) -> None:
    async with datasets_server() as server:
        server.files[DAYS[0].path] = b""
        with pytest.raises(ExchangeUnreachable, match="the archive is damaged: it is empty"):
            await fetch(server, tmp_path, DAYS[:1])
        assert unpacked(tmp_path) == {}
        filled(server)
        assert len((await fetch(server, tmp_path)).came) == len(DAYS)


async def test_a_key_is_sent_and_one_that_is_refused_is_one_sentence_without_it(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    async with datasets_server(wants_key=True) as server:
        filled(server)
        for wrong, why in (("wrong-key", "refuses the key"), ("", "wants a key, and none is set")):
            key_file.write_text(wrong)
            with pytest.raises(ExchangeUnreachable, match=why) as raised:
                await fetch(server, tmp_path / "days", key_file=key_file if wrong else None)
            assert "wrong-key" not in str(raised.value)
            assert raised.value.next_step == "check tardis.api_key_file"
        key_file.write_text(KEY)
        assert len((await fetch(server, tmp_path / "days", key_file=key_file)).came) == 3


@pytest.mark.advice("check the exchange, the symbols and the days")
async def test_a_request_that_is_refused_is_not_repeated(tmp_path: Path) -> None:
    async with datasets_server() as server:
        filled(server)
        server.failing["bad"] = 1
        with pytest.raises(UsageError, match="is refused"):
            await fetch(server, tmp_path)
        assert len(server.ranges) == 1
        for _ in range(TIMES):
            assert (await fetch(server, tmp_path)).missing == []


@pytest.mark.advice(
    "write 2024-08-08",
    "write it as the venue does, such as BTCUSDT",
    "name another folder",
)
async def test_words_that_cannot_be_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    def days(symbol: str = SYMBOL, first: str = "2024-08-08") -> Callable[[], list[Day]]:
        return lambda: days_of(EXCHANGE, ["trades"], [symbol], first, "2024-08-08")

    written = refused(days(first="yesterday"), "write 2024-08-08").removeprefix("write ")
    for symbol in ("", "../../etc/passwd"[:3], "A B", "a" * 81, "\x1b[31m"):
        refused(days(symbol), "write it as the venue does, such as BTCUSDT")
    refused(days(first="2024-08-09"), "give --from and --to in their order")
    refused(lambda: days_of(EXCHANGE, ["books"], [SYMBOL], written, written), "there are {…}")
    refused(
        lambda: Backfill.of(["binance"], [SYMBOL], None, written, written, tmp_path), "write tardis:binance-futures"
    )
    for _ in range(TIMES):
        backfill = Backfill.of(["tardis:binance-futures"], ["BTC/USDT"], None, written, written, tmp_path)
        assert [day.symbol for day in backfill.days] == ["BTC-USDT", "BTC-USDT"]

    (tmp_path / "file").write_text("")
    async with datasets_server() as server:
        filled(server)
        with pytest.raises(UsageError) as raised:
            await fetch(server, tmp_path / "file" / "days")
        assert raised.value.next_step == "name another folder"
        for number in range(TIMES):
            assert len((await fetch(server, tmp_path / f"other{number}")).came) == 3


def test_what_was_played_into_a_log_is_not_played_into_it_again(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.csv.gz", "b.csv.gz")]
    for file in files:
        file.write_text(file.name)
    PlayedFiles(tmp_path, "log1").note(files[:1])
    with (tmp_path / PLAYED).open("a") as cut:
        cut.write('{"name":"b.csv.gz","sha')

    assert PlayedFiles(tmp_path, "log1").left(files) == files[1:]
    assert PlayedFiles(tmp_path, "log2").left(files) == files
    PlayedFiles(tmp_path, "log1").note(files[1:])
    assert PlayedFiles(tmp_path, "log1").left(files) == []
    files[0].write_text("another day's")
    assert PlayedFiles(tmp_path, "log1").left(files) == files[:1]


def test_a_fetch_that_was_stopped_is_followed_by_no_replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stopped(*_: object, **__: object) -> Fetched:
        return Fetched([], [tmp_path / DAYS[0].name], [])

    monkeypatch.setattr("producers.backfill.fetch_days", stopped)
    backfill = Backfill.of([f"tardis:{EXCHANGE}"], [SYMBOL], None, "2024-08-08", "2024-08-08", tmp_path)
    nowhere = Settings.load({"kafka.bootstrap_servers": "127.0.0.1:1"})
    assert backfill.run(nowhere, speed=None, fetch_only=False) == {
        "fetched": 0,
        "kept": 1,
        "missing": 0,
        "played": 0,
        "messages": 0,
    }


def in_a_thread(work: Callable[[DatasetsServer], None]) -> None:
    """Give a server that runs beside what blocks."""
    ready, over, failed = threading.Event(), threading.Event(), list[BaseException]()

    async def serve() -> None:
        async with datasets_server() as server:
            filled(server)
            found.append(server)
            ready.set()
            await asyncio.to_thread(over.wait)

    found: list[DatasetsServer] = []
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(patient(20))
    try:
        work(found[0])
    finally:
        over.set()
        thread.join()
    assert not failed


def test_a_backfill_is_in_the_topics_once_however_often_it_is_run(
    broker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = fresh_topics(broker)

    def backfill(server: DatasetsServer) -> None:
        words = ["backfill", f"tardis:{EXCHANGE}", "--symbol", SYMBOL, "--type", "incremental_book_L2"]
        days = ["--from", "2024-08-08", "--to", "2024-08-10", "--into", str(tmp_path)]
        server.failing.update({"cut": 2, "busy": 1})
        for _ in range(2):
            assert main([*words, *days, *flags(settings), "--set", f"tardis.datasets_url={server.url}"]) == 0

    in_a_thread(backfill)
    told = capsys.readouterr().out
    books = [record for record in read_topic(settings, L2) if isinstance(record, L2Record)]
    runs = {record.run for record in books}

    assert "3 files came, 0 were there" in told
    assert "3 files played" in told
    assert "0 files came, 3 were there" in told
    assert "0 files played" in told
    assert len(runs) == 3
    assert sum(record.kind is Kind.DELTA for record in books) == 3 * 399


OTHER = days_of("okex-swap", ["incremental_book_L2"], ["BTC-USDT-SWAP"], "2024-08-08", "2024-08-10")


def test_days_of_two_exchanges_are_merged_and_one_that_was_cut_off_is_played_anew(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, stretches = fresh_topics(broker), list[int]()

    def cut_in_the_second(recordings: MergedReplay, parts: Sequence[Replay], *rest: Any, **more: Any) -> Any:
        stretches.append(len(parts))
        summary, is_stopped = run_replay(recordings, parts, *rest, **more)
        return summary, is_stopped or len(stretches) == 2

    def work(server: DatasetsServer) -> None:
        filled(server, OTHER)
        words = ["backfill", f"tardis:{EXCHANGE}", "tardis:okex-swap", "--type", "incremental_book_L2"]
        symbols = ["--symbol", f"{EXCHANGE}:{SYMBOL}", "--symbol", "okex-swap:BTC-USDT-SWAP"]
        days = ["--from", "2024-08-08", "--to", "2024-08-10", "--into", str(tmp_path)]
        for _ in range(3):
            assert main([*words, *symbols, *days, *flags(settings), "--set", f"tardis.datasets_url={server.url}"]) == 0

    monkeypatch.setattr("producers.backfill.run_replay", cut_in_the_second)
    in_a_thread(work)
    books = [record for record in read_topic(settings, L2) if isinstance(record, L2Record)]

    assert stretches == [2, 2, 2, 2], "the first day once, the second twice, the third once"
    assert len({record.run for record in books}) == 8
    for venue in (EXCHANGE, "okx"):
        changes = Counter(record.received_ns // NS_PER_DAY for record in books if is_change_of(record, venue))
        assert sorted(changes.values()) == [399, 399, 2 * 399]


def is_change_of(record: L2Record, venue: str) -> bool:
    return record.venue == venue and record.kind is Kind.DELTA


RECORDED = (("binance-futures", "BTCUSDT", 0), ("okx", "BTC-USDT-SWAP", 1), ("bybit", "BTCUSDT", 60))


def test_recordings_are_merged_where_they_overlap_and_each_is_played_once(
    broker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, sources = fresh_topics(broker), list[str]()
    for venue, symbol, start_s in RECORDED:
        path = tmp_path / f"{venue}.frames.jsonl.gz"
        start_ns = (1_700_000_000 + start_s) * NS_PER_SECOND
        exchange = SimulatedExchange(simulated_venue(venue), [symbol], start_ns=start_ns, changes_per_second=50)
        write_recording(exchange, path, 2.0, seed=0, rate=50, faults=False)
        if venue == "okx":  # as a folder of parts
            path = in_parts(path, tmp_path / "parts", venue, symbol, part_s=1)[0].parent
        sources.append(f"recording:{path}")
    for _ in range(2):
        assert main(["backfill", *reversed(sources), "--into", str(tmp_path), *flags(settings)]) == 0
    assert main(["backfill", *sources, "--symbol", "X", "--into", str(tmp_path), *flags(settings)]) == EXIT_USAGE
    told = capsys.readouterr()

    assert "3 files played" in told.out
    assert "0 files played" in told.out
    assert "recordings are filled in whole" in told.err
    books = [record for record in read_topic(settings, L2) if isinstance(record, L2Record)]
    assert {record.venue for record in books if record.kind is Kind.SNAPSHOT} == {"binance-futures", "okx", "bybit"}
    assert len({record.run for record in books}) == 3


@pytest.mark.advice(
    "write tardis:binance-futures, or recording:FILE",
    "name them and --into alone",
    "fill them in one after the other, into topics of their own",
    "give --from, as --from 2024-08-08",
)
def test_sources_and_datasets_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    def of(*sources: str, types: Sequence[str] | None = None) -> Callable[[], Backfill]:
        given = (
            ([SYMBOL], types, "2024-08-08", "2024-08-08")
            if types or "recording" not in sources[0]
            else ([], None, "", "")
        )
        return lambda: Backfill.of(sources, *given, tmp_path)

    refused(of("binance"), "write tardis:binance-futures, or recording:FILE")
    no_day = lambda: Backfill.of([f"tardis:{EXCHANGE}"], [SYMBOL], None, "", "", tmp_path)  # noqa: E731
    first = refused(no_day, "give --from, as --from 2024-08-08").rpartition(" ")[2]
    refused(of("recording:a", f"tardis:{EXCHANGE}"), "name them and --into alone")
    both = ["incremental_book_L2", "book_snapshot_25"]
    refused(of(f"tardis:{EXCHANGE}", types=both), "fill them in one after the other, into topics of their own")
    for number in range(TIMES):
        assert len(of(f"tardis:{EXCHANGE}", types=[both[number % 2], "trades"])().days) == 2
        assert of("recording:a", "recording:b")().recordings == [Path("a"), Path("b")]
        assert Backfill.of([f"tardis:{EXCHANGE}"], [SYMBOL], None, first, first, tmp_path).days


def test_words_of_a_backfill_are_looked_at_before_any_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = f"--set=kafka.bootstrap_servers=127.0.0.1:{free_port()}"
    wrong = {
        "recording:there.frames.jsonl.gz": "there is no recording there.frames.jsonl.gz",
        "there.frames.jsonl.gz": "write tardis:binance-futures, or recording:FILE",
    }
    for source, sentence in wrong.items():
        assert main(["backfill", source, "--into", str(tmp_path), nowhere]) == EXIT_USAGE
        assert sentence in capsys.readouterr().err
