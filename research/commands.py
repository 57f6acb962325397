"""The commands verify, factors and book: a recording in, an answer out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from obflow.cli import JsonFlag, emit_json, load_settings
from obflow.terminal import console, tell
from research.show import cell, table
from schemas.errors import EXIT_DONE, EXIT_FAILED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producers.recordings.reader import RecordingReplay
    from research.book import BookAt
    from research.replay import FactorSummary
    from research.verify import Level, RecordingReport

FileArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE", help="A recording, FILE.frames.jsonl.gz, its parts or their folder, or a dataset, FILE.csv.gz."
    ),
]
DamageFlag = Annotated[bool, typer.Option("--until-damage", help="Read a damaged file up to its damage.")]
VenueOption = Annotated[
    str | None,
    typer.Option(
        "--venue", metavar="V", help="Where it was recorded: binance-futures …; what the file says by default."
    ),
]


def verify(
    file: FileArgument, venue: VenueOption = None, until_damage: DamageFlag = False, json: JsonFlag = False
) -> int:
    """Rebuild every book of a recording and report its quality; exits with 1 where it is not well.

    A recording is well where it holds a book, each book is LIVE at its end, and none was ever shown to be wrong. The
    parts of a folder have to be as its manifest.json says.

    Example: obflow verify BTCUSDT.frames.jsonl.gz --venue binance-futures --json
    """
    from obflow.progress import progress
    from research.first_books import FirstBooks
    from research.verify import verify as verify_recording

    wrong, books = _parts_wrong(file), FirstBooks()
    replay = replay_of(file, venue, until_damage=until_damage)
    with progress(f"verifying {file[0].name}", replay.found.lines) as bar:
        report = verify_recording(replay, lambda steps: books.over(bar.over(steps)))
    report["problems"][:0] = wrong
    if json:
        emit_json(report)
    else:
        _show_report(report, file[0])
    _tell_lacks(file, books.lacks(report["instruments"]))
    return EXIT_FAILED if report["problems"] else EXIT_DONE


def factors(
    file: FileArgument,
    venue: VenueOption = None,
    symbol: Annotated[str | None, typer.Option("--symbol", metavar="S", help="Only this instrument.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="F", help="Write one row an event: F.parquet or F.csv.")
    ] = None,
    engine: Annotated[str | None, typer.Option("--engine", metavar="NAME", help="Computes the factors.")] = None,
    digest: Annotated[bool, typer.Option("--digest", help="Print each instrument's digest and event count.")] = False,
    until_damage: DamageFlag = False,
    json: JsonFlag = False,
) -> None:
    """Compute the factors of a recording in memory, as the pipeline would.

    Example: obflow factors BTCUSDT.frames.jsonl.gz --venue binance-futures --out factors.parquet --digest
    """
    from obflow.progress import progress
    from processors.compilation import with_engine
    from processors.factors import engine_of
    from processors.settings import ProcessorSettings
    from producers.recordings.digests import digest_of_all
    from research.replay import FactorReplay, require_symbol, summarise
    from research.tables import event_table, require_another_file
    from schemas.runs import replay_run

    loaded = load_settings({"processor.engine": engine})
    replay = replay_of(file, venue, until_damage=until_damage)
    if out is not None:
        for one in file:
            require_another_file(out, one)
    if symbol is not None:
        require_symbol(replay.found, symbol, file[0])
    computing = engine_of(with_engine(loaded.of(ProcessorSettings), loaded.cache, tells=False))
    with progress(f"computing {file[0].name}", replay.found.lines) as bar:
        events = FactorReplay(replay, computing, symbol, bar.over)
        if out is None:
            summary = summarise(events)
        else:
            run = replay_run(
                replay.router.exchange.venue, digest_of_all(file), replay.found.first_ns, replay.found.last_ns, 0
            )
            with event_table(out, run) as write:
                summary = summarise(events, write)
    if json:
        emit_json({**_factors_result(replay.router.exchange.venue, summary, out), "engine": computing.name})
    else:
        _show_factors(summary, out, computing.name, digest=digest or out is None)


def book(
    file: FileArgument,
    symbol: Annotated[str, typer.Option("--symbol", metavar="S", help="The instrument.")],
    at: Annotated[
        str, typer.Option("--at", metavar="TIME", help="ISO 8601 (UTC unless it says otherwise), or ns since 1970.")
    ],
    venue: VenueOption = None,
    levels: Annotated[int, typer.Option("--levels", min=1, metavar="N", help="Levels a side to show.")] = 10,
    until_damage: DamageFlag = False,
    json: JsonFlag = False,
) -> None:
    """Show the book of a recording as it was known at a moment.

    Example: obflow book BTCUSDT.frames.jsonl.gz --venue binance --symbol BTCUSDT --at 2024-08-08T23:55:00Z
    """
    from obflow.progress import progress
    from research.book import book_at, moment_ns, require_within
    from research.replay import require_symbol

    at_ns = moment_ns(at)
    replay = replay_of(file, venue, until_damage=until_damage)
    require_symbol(replay.found, symbol, file[0])
    require_within(replay.found, at_ns)
    with progress(f"reading {file[0].name}", replay.found.lines) as bar:
        found = book_at(replay, symbol, at_ns, levels, bar.over)
    if json:
        emit_json(found)
    else:
        _show_book(found)


def replay_of(files: Sequence[Path], venue: str | None, *, until_damage: bool) -> RecordingReplay:
    """Open a recording for a command, telling what of it is damaged. Errors as of `open_replay`."""
    from obflow.progress import progress
    from producers.recordings.joined import open_joined
    from producers.recordings.lines import damage_of
    from producers.recordings.opened import require_venue
    from producers.venue_names import exchange_named
    from research.replay import open_replay

    exchange, settings = exchange_named(require_venue(files[0], venue)), load_settings()
    with progress(f"looking through {files[0].name}"):
        replay = open_replay(files[0], exchange, settings, until_damage=until_damage, beside=files[1:])
        damage = damage_of(open_joined(files, exchange).source) if until_damage else ""
    if damage:
        tell(f"{damage}: {replay.found.lines:,} good lines are read")
    return replay


def _parts_wrong(paths: Sequence[Path]) -> list[str]:
    """Say what of folders is not as their manifests say; what is read in spite of it may end in the middle."""
    from obflow.progress import progress
    from producers.recordings.part_checks import open_in, problems_in

    wrong: list[str] = []
    for folder in filter(Path.is_dir, paths):
        with progress(f"checking {folder.name}"):
            wrong += problems_in(folder)
        for name in open_in(folder):
            tell(f"part {name} is not closed: it is being written, or was cut off and is read as far as it goes")
    for problem in wrong:
        tell(problem)
    return wrong


def _tell_lacks(paths: Sequence[Path], lacks: Sequence[str]) -> None:
    """Say what parts lack that begin in the middle of a recording."""
    from producers.recordings.parts import parts_among

    parts = parts_among(paths)
    if parts and parts[0].head.continues:
        began = f"{parts[0].path.name} goes on from part {parts[0].head.part - 1}, which is not read"
        tell(f"{began}: {'; '.join(lacks) or 'it holds no book'}")


def _factors_result(venue: str, summary: Mapping[str, FactorSummary], out: Path | None) -> dict[str, object]:
    instruments = {
        symbol: {"events": found.events, "digest": found.digest, "statuses": found.statuses}
        for symbol, found in summary.items()
    }
    return {"venue": venue, "instruments": instruments, "out": str(out) if out else None}


def _show_report(report: RecordingReport, file: Path) -> None:
    screen = console()
    rejected = ", ".join(f"{count} {reason}" for reason, count in report["rejected"].items()) or "none"
    screen.print(f"{file.name}: {report['messages']:,} messages in {report['seconds']:,} s, rejected: {rejected}")
    for symbol, found in report["instruments"].items():
        rows = [(name, cell(value)) for name, value in found.items() if name not in ("best_bids", "best_asks")]
        screen.print(table(f"{report['venue']} {symbol}", ("", ""), rows))
        screen.print(_levels_table(found["best_bids"], found["best_asks"]))
    for problem in report["problems"]:
        screen.print(f"not well: {problem}", markup=False)
    if not report["problems"]:
        screen.print("well: every book is LIVE at the end, and none was shown to be wrong")


def _show_factors(summary: Mapping[str, FactorSummary], out: Path | None, engine: str, *, digest: bool) -> None:
    screen = console()
    if digest:
        for symbol, found in summary.items():
            said = f"{symbol} {found.events} events, digest {found.digest} by the engine {engine}"
            screen.print(said, soft_wrap=True, highlight=False)
    rows = [
        (symbol, status, f"{count:,}") for symbol, found in summary.items() for status, count in found.statuses.items()
    ]
    screen.print(table("factor events", ("symbol", "status", "events"), rows))
    if out is not None:
        screen.print(f"written to {out}", soft_wrap=True, highlight=False)


def _show_book(found: BookAt) -> None:
    screen = console()
    rows = [(name, cell(value)) for name, value in found.items() if name not in ("bids", "asks")]
    screen.print(table(f"{found['venue']} {found['symbol']}", ("", ""), rows))
    screen.print(_levels_table(found["bids"], found["asks"]))


def _levels_table(bids: Sequence[Level], asks: Sequence[Level]) -> object:
    depth = max(len(bids), len(asks))
    empty = [("", "")] * depth
    pairs = zip([*bids, *empty][:depth], [*asks, *empty][:depth], strict=True)
    rows = [(bid[1], bid[0], ask[0], ask[1]) for bid, ask in pairs]
    return table("", ("bid size", "bid", "ask", "ask size"), rows)
