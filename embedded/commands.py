"""Commands of the embedded default."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from embedded.demo.plan import SCRIPTED, SHUTDOWN_S, DemoPlan, DemoSource, free_port
from embedded.process import StopAsked, allowed_here
from obflow.cli import JsonFlag, emit_json, load_settings, run_async, stop_on_signal
from obflow.durations import seconds_of
from obflow.terminal import console, tell_lines
from schemas.errors import FatalError, UsageError

WATCH_S = 0.5
MAX_DEMO_S: Final = 7 * 86_400.0
MOST_WORKERS: Final = 8
KEEP: Final = "keep its data and logs with --data DIR"
LOOK_AT: Final = "its data and logs are kept, as said above"

Port = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Port for clients, by default that of the settings; 0 chooses a free one."),
]


def kafka(
    port: Port = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Data folder, kept; <cache>/kafka where none is given.")
    ] = None,
) -> None:
    """Run the embedded Kafka broker in the foreground, until Ctrl-C.

    Example: obflow kafka --port 9092 --data ./kafka-data
    """
    from embedded.kafka import EmbeddedKafka
    from embedded.own_port import broker_port

    settings = load_settings()
    folder, chosen = data or settings.cache / "kafka", broker_port(settings) if port is None else port
    broker = EmbeddedKafka(folder, port=chosen, cache=settings.cache, report=tell_lines)
    with stop_on_signal() as stop, suppress(StopAsked):
        try:
            address = broker.start(unless=stop.is_set)
            tell_lines(f"Kafka 4.1.0 listens on {address}; data and log in {broker.data}; Ctrl-C stops it")
            while not stop.is_set():
                broker.wait(WATCH_S)
        finally:
            broker.stop()


def clickhouse(
    port: Port = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Data folder, kept; <cache>/clickhouse where none is given.")
    ] = None,
) -> None:
    """Run the embedded ClickHouse in the foreground, until Ctrl-C.

    Example: obflow clickhouse --port 8123 --data ./clickhouse-data
    """
    from embedded.clickhouse_server import serve
    from embedded.own_port import engine_port

    settings = load_settings()
    folder = (data or settings.cache / "clickhouse").absolute()

    def ready(host: str, bound: int, version: str) -> None:
        tell_lines(f"ClickHouse {version} listens on http://{host}:{bound}; data in {folder}; Ctrl-C stops it")

    serve(folder, port=engine_port(settings) if port is None else port, ready=ready)


def scripted_model(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 0,
) -> None:
    """Answer questions about regimes by fixed rules, in a language model's place, until Ctrl-C: to see the whole way.

    Example: obflow scripted-model --port 8100
    """
    from embedded.scripted_model import LOOPBACK, application, listening

    load_settings()

    async def main(stop: asyncio.Event) -> None:
        async with listening(application(), port) as bound:
            tell_lines(
                f"{SCRIPTED} answers at http://{LOOPBACK}:{bound}/v1; no language model is asked; Ctrl-C stops it"
            )
            await stop.wait()

    run_async(main)


def demo(
    seconds: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="How long, such as 60s or 5m; until Ctrl-C without it.")
    ] = None,
    source: Annotated[DemoSource, typer.Option(help="Where the frames come from.")] = DemoSource.SIMULATOR,
    recording: Annotated[
        Path | None, typer.Option("--recording", metavar="FILE", help="The file for --source recording.")
    ] = None,
    venue: Annotated[
        list[str] | None, typer.Option(help="Venue of the frames; may be given again. Three of them without it.")
    ] = None,
    symbol: Annotated[
        list[str] | None, typer.Option(help="Instrument, of each venue, or VENUE:SYMBOL; may be given again.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=MOST_WORKERS, help="Processors that share the partitions.")] = 2,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep data and logs here; a temporary folder without it.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Run the whole pipeline on this machine: real Kafka, real Faust workers, a real ClickHouse engine.

    Example: obflow demo --for 60s --json
    """
    patience = allowed_here(1.0)  # where others want the cores, too, its end takes longer as well
    with stop_on_signal(shutdown_seconds=patience * SHUTDOWN_S) as stop:
        from embedded.demo.children import names_a_model
        from embedded.demo.command import kept, run  # a second of imports, in which a signal may come, too
        from embedded.demo.run import Demo

        plan, chosen = _plan(source, recording, venue, symbol, workers, seconds), load_settings()
        if not names_a_model(chosen):
            plan = replace(plan, model_port=free_port())
        with _folder(data) as folder, Demo(plan, chosen, folder, tell_lines, patience) as running:
            summary = run(running, plan.seconds, stop, console(stderr=True))
            if data is not None:
                for line in kept(folder):
                    tell_lines(line)
            was_asked = stop.is_set()
    if json:
        emit_json(summary.as_dict())
    # Who stops it early may have seen little; what there was is whole all the same.
    if not (summary.is_good or (was_asked and summary.is_exact)):
        raise FatalError(f"the demo's result is not whole: {summary.told}", next_step=LOOK_AT if data else KEEP)


def _plan(
    source: DemoSource,
    recording: Path | None,
    venue: list[str] | None,
    symbol: list[str] | None,
    workers: int,
    seconds: str | None,
) -> DemoPlan:
    """What the flags ask for; every word is looked at before anything starts."""
    from embedded.demo.instruments import instruments
    from embedded.demo.words import check

    duration_s = seconds_of("--for", seconds, most_s=MAX_DEMO_S)
    plan = DemoPlan(
        source=source,
        symbols=instruments(venue or (), symbol or (), single=source is DemoSource.RECORDING),
        recording=recording,
        workers=workers,
        seconds=duration_s,
        simulator_port=free_port(),
    )
    check(plan)
    return plan


@contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    """The folder asked for, or a temporary one that goes with the demo."""
    if wanted is not None:
        try:
            wanted.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise UsageError(f"the data folder {wanted} is no folder", next_step="give --data another one") from None
        except OSError as error:
            raise UsageError(
                f"the data folder {wanted} cannot be written ({error.strerror})", next_step="give --data another one"
            ) from None
        yield wanted.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="obflow-demo-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
