"""The producers' commands: produce, record, replay, backfill."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from obflow.cli import JsonFlag, emit_json, load_settings, run_async
from obflow.durations import seconds_of
from obflow.terminal import say
from schemas.errors import UsageError
from schemas.units import NS_PER_SECOND

if TYPE_CHECKING:
    import asyncio

    from obflow.metrics import Metrics
    from obflow.settings import Settings
    from producers.contract import Exchange
    from producers.live.tardis_replay import Stretch, Wanted
    from producers.live.tasks import Provider
    from producers.selection import Selection

_SPEED = re.compile(r"([0-9]+(?:\.[0-9]+)?)x")

Venue = Annotated[
    str,
    typer.Argument(
        help="Exchange id, such as binance-futures; tardis:okex-swap by tardis-machine, relay:… by a relay."
    ),
]
Url = Annotated[str | None, typer.Option(help="Address in the venue's place, such as a simulator's.")]
Rotate = Annotated[
    str | None, typer.Option(help="Into a folder, a part each 1h or 15m of the clock (UTC).", metavar="TIME")
]
RotateBytes = Annotated[str | None, typer.Option(help="Likewise, a part each 500M or 2G, packed.", metavar="SIZE")]
Symbols = Annotated[list[str] | None, typer.Option("--symbol", help="Instrument, as the venue writes it; repeatable.")]


def produce(
    venue: Venue,
    symbol: Symbols = None,
    symbols: Annotated[
        str | None, typer.Option("--symbols", help="all: everything that trades, now and later.", metavar="all")
    ] = None,
    quote: Annotated[list[str] | None, typer.Option(help="All that trade in this currency; repeatable.")] = None,
    share: Annotated[
        str | None,
        typer.Option(help="Of these, what is this process's: 1/2, 2/2, or by a lease.", metavar="PART|lease"),
    ] = None,
    websocket_url: Url = None,
    rest_url: Url = None,
    record: Annotated[
        Path | None, typer.Option(help="Also keep every frame in this new file; or folder.", metavar="FILE|FOLDER")
    ] = None,
    rotate: Rotate = None,
    rotate_bytes: RotateBytes = None,
    json: JsonFlag = False,
) -> None:
    """Produce instruments of a venue, live, until stopped.

    Example: obflow produce binance-futures --symbol BTCUSDT --symbol ETHUSDT
    Example: obflow produce binance-futures --symbols all --record frames --rotate 1h
    """
    from obflow.clock import SystemClock
    from obflow.metrics import Metrics
    from producers.live import run
    from producers.recordings.rotation import rotation_of

    rotation = rotation_of(rotate, rotate_bytes)
    if rotation is not None and record is None:
        raise UsageError("a rotation is of a recording", next_step="give --record FOLDER, too")
    settings = load_settings(
        {"producer.websocket_url": websocket_url, "producer.rest_url": rest_url, "producer.share": share}
    )
    selection = _selection(symbol, symbols, quote)
    metrics = Metrics("producer")

    async def main(stop: asyncio.Event) -> dict[str, object]:
        exchange, provider = await _live(venue, settings, metrics)
        return await run.produce(
            exchange,
            selection,
            settings,
            clock=SystemClock(),
            metrics=metrics,
            stop=stop,
            recording=record,
            rotation=rotation,
            provider=provider,
        )

    with metrics.served(settings.metrics):
        summary = run_async(main)
    if json:
        emit_json(summary)
    else:
        say(f"{summary['messages']} messages acknowledged")


def record(
    venue: Venue,
    out: Annotated[Path, typer.Option(help="The recording, a new file; or a folder.", metavar="FILE.jsonl.gz|FOLDER")],
    symbol: Symbols = None,
    seconds: Annotated[str | None, typer.Option("--for", help="How long, as 60s, 5m or 2h.", metavar="TIME")] = None,
    rotate: Rotate = None,
    rotate_bytes: RotateBytes = None,
    start: Annotated[str | None, typer.Option("--from", help="Of tardis:…, history from here.", metavar="TIME")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Where that history ends.", metavar="TIME")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Of that history, the venue's own messages.")] = False,
    channel: Annotated[
        list[str] | None, typer.Option(help="Of these, Tardis's channels in place of the usual ones; repeatable.")
    ] = None,
    websocket_url: Url = None,
    rest_url: Url = None,
    json: JsonFlag = False,
) -> None:
    """Record the raw frames of a venue, as received, until stopped; of tardis:… also those of the past.

    In parts where told to rotate: each is a recording by itself, manifest.json has their digests, and the next start
    into the folder goes on with a new part. Nothing is ever deleted.

    Example: obflow record binance-futures --symbol BTCUSDT --out btc.frames.jsonl.gz --for 60s
    Example: obflow record binance-futures --symbol BTCUSDT --out btc --rotate 1h
    """
    from obflow.clock import SystemClock
    from producers.live import run
    from producers.live.tardis_replay import fetch_replay
    from producers.recordings.rotation import rotation_of

    settings = load_settings({"producer.websocket_url": websocket_url, "producer.rest_url": rest_url})
    symbols = _named(symbol)
    duration_s = seconds_of("--for", seconds)
    rotation = rotation_of(rotate, rotate_bytes)
    wanted = _of_the_past(venue, symbols, _stretch(start, end, venue), channel, raw=raw)

    async def main(stop: asyncio.Event) -> dict[str, object]:
        exchange, provider = await _live(venue, settings)
        if wanted is not None:
            return await fetch_replay(wanted, settings, path=out, stop=stop, rotation=rotation)
        return await run.record(
            exchange,
            symbols,
            settings,
            clock=SystemClock(),
            stop=stop,
            path=out,
            rotation=rotation,
            seconds=duration_s,
            provider=provider,
        )

    summary = run_async(main)
    if json:
        emit_json(summary)
    else:
        told = f"{summary['lines']} lines in {out}" if summary["lines"] else "nothing came, no file is kept"
        told += f", {len(parts)} parts" if isinstance(parts := summary.get("parts"), list) else ""
        say(told)


def replay(
    file: Annotated[
        list[Path],
        typer.Argument(help="Recordings, played one after the other; parts are one."),
    ],
    venue: Annotated[
        str | None, typer.Option(help="Exchange they were recorded from; what the first one says by default.")
    ] = None,
    speed: Annotated[str, typer.Option(help="max, or received seconds a second: 1x, 10x.")] = "max",
    copies: Annotated[
        int | None, typer.Option(help="Each instrument as so many: SYMBOL-01, SYMBOL-02 …", min=1, max=9999)
    ] = None,
    shift: Annotated[str | None, typer.Option(help="now: add a constant to all times, to begin now.")] = None,
    limit_frames: Annotated[int | None, typer.Option(help="Only the first lines of each file.", min=1)] = None,
    limit_diffs: Annotated[
        int | None, typer.Option(help="Each instrument until so many diffs were applied.", min=1)
    ] = None,
    topic_prefix: Annotated[
        str | None, typer.Option(help="Into topics of their own, created where missing.", metavar="PREFIX")
    ] = None,
    loop_for: Annotated[
        str | None, typer.Option(help="Begin again at the end, and stop after this time.", metavar="TIME")
    ] = None,
    until_damage: Annotated[bool, typer.Option("--until-damage", help="Play a damaged file up to its damage.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what was replayed before.")] = False,
    json: JsonFlag = False,
) -> None:
    """Replay recordings, or datasets of Tardis, into Kafka, at the pace recorded or as fast as the broker takes them.

    A recording that is on the log or in the tables already is refused: it would be stored twice.

    Example: obflow replay btc.frames.jsonl.gz --venue binance-futures --copies 24 --speed max
    """
    from obflow.clock import SystemClock
    from obflow.metrics import Metrics
    from obflow.topics import apply
    from producers.recordings.opened import require_venue
    from producers.recordings.playing import play
    from producers.recordings.replay import ReplayPlan
    from producers.venue_names import exchange_named

    exchange = exchange_named(require_venue(file[0], venue))
    if shift not in (None, "now"):
        raise UsageError(f"--shift {shift} is not known", next_step="write --shift now, or leave it out")
    settings = load_settings({"kafka.topic_prefix": topic_prefix})
    plan = ReplayPlan(
        speed=_speed(speed),
        copies=copies,
        shift_to_now=shift == "now",
        limit_frames=limit_frames,
        limit_diffs=limit_diffs,
        loop_seconds=seconds_of("--loop-for", loop_for),
        routine_snapshot_ns=_routine_ns(settings),
        until_damage=until_damage,
    )
    if topic_prefix is not None:
        apply(settings)
    clock, metrics = SystemClock(), Metrics("replay")
    with metrics.served(settings.metrics):
        summary, _ = play(file, exchange, plan, settings, clock=clock, metrics=metrics, again=again)
    if json:
        emit_json(summary)
    else:
        say(f"{summary['messages']} messages acknowledged, {summary['records_per_s']} records/s")


def backfill(
    source: Annotated[
        list[str], typer.Argument(help="tardis: and an exchange there, as tardis:okex-swap, or recording: and a file.")
    ],
    folder: Annotated[Path, typer.Option("--into", help="Folder for the files; what is there is kept.")],
    symbol: Annotated[
        list[str] | None, typer.Option(help="Instrument, of each exchange, or EXCHANGE:SYMBOL; repeatable.")
    ] = None,
    dataset: Annotated[
        list[str] | None, typer.Option("--type", help="Dataset; repeatable. By default books and trades.")
    ] = None,
    start: Annotated[str, typer.Option("--from", help="First day, as 2024-08-08.", metavar="DAY")] = "",
    end: Annotated[str | None, typer.Option("--to", help="Last day; the first by default.", metavar="DAY")] = None,
    speed: Annotated[str, typer.Option(help="max, or received seconds a second: 10x, 100x.")] = "max",
    fetch_only: Annotated[bool, typer.Option("--fetch-only", help="Fetch the files and play nothing.")] = False,
    json: JsonFlag = False,
) -> None:
    """Play days of Tardis, which are fetched, or recordings into Kafka, in order of time.

    Several exchanges and recordings become one stream; run again, it goes on where it ended.

    Example: obflow backfill tardis:binance-futures --symbol BTCUSDT --from 2024-08-01 --into days
    """
    from producers.backfill import Backfill
    from producers.tardis.venues import exchange_in

    settings = load_settings()
    symbols = _named(symbol) if any(map(exchange_in, source)) else symbol or []
    plan = Backfill.of(source, symbols, dataset, start, end or start, folder)
    summary = plan.run(settings, speed=_speed(speed), fetch_only=fetch_only)
    if json:
        emit_json(summary)
        return
    say(f"{summary['fetched']} files came, {summary['kept']} were there, {summary['missing']} days are not there")
    if not fetch_only:
        say(f"{summary['played']} files played, {summary['messages']} messages acknowledged")


def _routine_ns(settings: Settings) -> int:
    from producers.settings import ProducerSettings

    return int(settings.of(ProducerSettings).routine_snapshot_seconds * NS_PER_SECOND)


async def _live(venue: str, settings: Settings, metrics: Metrics | None = None) -> tuple[Exchange, Provider | None]:
    """Give a venue, and who brings its data where it is not itself: one that lets us in."""
    from obflow.clock import SystemClock
    from producers.exchanges.deribit.venue import DERIBIT
    from producers.live.deribit import open_deribit
    from producers.live.relay import RelayAccess
    from producers.live.tardis import key_headers, machine_stream, require_access
    from producers.live.tasks import Provider
    from producers.settings import TardisSettings
    from producers.tardis.venues import exchange_in, relayed_in
    from producers.venue_names import exchange_named

    if exchange := relayed_in(venue):
        return await RelayAccess(exchange, settings, SystemClock(), metrics).open()
    exchange = exchange_in(venue)
    if not exchange and venue == DERIBIT.venue:
        return await open_deribit(settings)
    if not exchange:
        return exchange_named(venue), None
    tardis = settings.of(TardisSettings)
    stream, provider = machine_stream(exchange, settings), Provider(venue, key_headers(tardis))
    await require_access(tardis)
    return stream, provider


def _stretch(start: str | None, end: str | None, venue: str) -> Stretch | None:
    """Read what of the past is wanted; None where it is the present."""
    from producers.live.tardis_replay import stretch_of
    from producers.tardis.venues import exchange_in

    if start is None and end is None:
        return None
    if start is None or end is None or not exchange_in(venue):
        raise UsageError(
            "the past has a beginning and an end, and is had from Tardis",
            next_step="give --from and --to with a venue tardis:EXCHANGE",
        )
    return stretch_of(start, end)


def _of_the_past(
    venue: str, symbols: list[str], stretch: Stretch | None, channels: list[str] | None, *, raw: bool
) -> Wanted | None:
    """Say what is asked of the machine; None where it is the present."""
    from producers.live.tardis_replay import Wanted

    if channels and not raw:
        raise UsageError("--channel names channels of a venue's own messages", next_step="give --raw with it")
    if stretch is None and raw:
        raise UsageError(
            "--raw is of the past: live, a venue's own messages come from the venue",
            next_step="give --from and --to with it, or name the venue itself",
        )
    if stretch is None:
        return None
    return Wanted.raw(venue, symbols, stretch, channels or ()) if raw else Wanted.normalised(venue, symbols, stretch)


def _selection(named: list[str] | None, everything: str | None, quotes: list[str] | None) -> Selection:
    from producers.selection import ALL, Selection

    if everything not in (None, ALL):
        raise UsageError(f"--symbols {everything} is not known", next_step="write --symbols all, or --symbol for one")
    if everything is None and not quotes:
        return Selection(tuple(_named(named)))
    if named:
        raise UsageError("--symbol names some, --symbols all and --quote all of a kind", next_step="give one of them")
    return Selection(quotes=frozenset(quote.upper() for quote in quotes or ()))


def _named(symbols: list[str] | None) -> list[str]:
    if not symbols:
        raise UsageError("no instrument is named", next_step="give --symbol, as the venue writes it: --symbol BTCUSDT")
    return symbols


def _speed(text: str) -> float | None:
    """Read a pace as flags give it; None is as fast as possible."""
    match = _SPEED.fullmatch(text)
    if text != "max" and (match is None or not float(match[1])):
        raise UsageError(f"--speed {text} is no speed", next_step="write max, 1x or 10x")
    return float(match[1]) if match else None
