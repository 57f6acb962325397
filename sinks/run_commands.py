"""The command `obflow runs`: which runs are stored, and how one is dropped."""

from __future__ import annotations

from typing import Annotated

import typer

from obflow.cli import JsonFlag, emit_json, load_settings
from obflow.terminal import say
from schemas.errors import UsageError

runs = typer.Typer(help="List the runs that are stored, or drop one.", no_args_is_help=True)


@runs.command("list")
def list_runs(json: JsonFlag = False) -> None:
    """List what is stored of every run: one life of a producer, or one replay of a recording.

    Where runs of an instrument overlap, views count the newest; where it has a live source, that alone.

    Example: obflow runs list --json
    """
    from sinks.runs import stored_runs
    from sinks.store import Store

    found = stored_runs(Store(load_settings().clickhouse, readonly=True))
    if json:
        moments = [{"first_at": run.first_at.isoformat(), "last_at": run.last_at.isoformat()} for run in found]
        emit_json({"runs": [run._asdict() | when for run, when in zip(found, moments, strict=True)]})
        return
    for run in found:
        notes = ["beside a live source, not counted"] if run.beside_live else []
        notes += ["a newer run counts where they overlap"] if run.overlapped and not run.beside_live else []
        times = f"{run.first_at:%Y-%m-%d %H:%M:%S} to {run.last_at:%Y-%m-%d %H:%M:%S} UTC"
        what = f"{run.venue}:{run.symbol}  {times}  {run.factors} factors, {run.trades} trades"
        say(f"{run.run or '(before runs had names)'}  {'; '.join([what, *notes])}")
    if not found:
        say("no run is stored")


@runs.command()
def drop(
    run: Annotated[str, typer.Argument(help="Its name, as listed.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it: the rows are gone for good.")] = False,
    json: JsonFlag = False,
) -> None:
    """Delete the rows of a run from every table, for good: sinks store it no more, though its records are on the log.

    Example: obflow runs drop replay/binance-futures/1767225600000000000/0011aabbccddeeff/1723161300-1723161645 --yes
    """
    from sinks import runs as stored
    from sinks.settings import SinkSettings
    from sinks.store import Store

    settings = load_settings()
    if not yes:
        raise UsageError(f"this deletes every row of {run}, for good", next_step="say it again with --yes to do so")
    wait_s = stored.LOOK_SECONDS + settings.of(SinkSettings).flush_seconds + 1.0
    deleted = stored.drop_run(Store(settings.clickhouse), run, wait_s)
    if json:
        emit_json({"run": run, "deleted": deleted})
        return
    for table, rows in deleted.items():
        say(f"{table}: {rows} rows deleted")
