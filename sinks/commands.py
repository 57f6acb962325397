"""The sinks' commands: sink, tables, describe, dead-letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from obflow.cli import JsonFlag, emit_json, load_settings, stop_on_signal
from obflow.terminal import print_columns, say, say_lines
from schemas.errors import EXIT_DONE, EXIT_FAILED, UsageError

if TYPE_CHECKING:
    from obflow.settings import Settings
    from sinks.contract import Table
    from sinks.counts import Counts
    from sinks.store import Store

STOP_SECONDS = 5.0


def sink(
    table: Annotated[list[str] | None, typer.Option("--table", help="Feed this table only; may be repeated.")] = None,
    metrics_port: Annotated[int | None, typer.Option("--metrics-port", help="Serve /metrics here; 0: not.")] = None,
    restore: Annotated[
        list[str] | None,
        typer.Option(
            "--restore", help="Put back what this table lacks and its log still has, and end.", metavar="TABLE"
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Feed the tables from their topics until stopped, resuming from what the tables hold.

    Run any number: they share the partitions of every topic. Whatever fails ends the process with one sentence; started
    again, it goes on without loss and without doubled rows.

    Rows that somebody took out of a table are put back by --restore, while no sink feeds it; nothing is stored twice.

    Example: obflow sink --table factors --table trades
    """
    from obflow.clock import SystemClock
    from obflow.metrics import Metrics
    from sinks.service import serve
    from sinks.tables import TABLES

    if restore:
        if table:
            raise UsageError("--restore feeds no table", next_step="leave out --table")
        _restore_all(restore, json=json)
        return
    chosen = [_table(name) for name in table or TABLES]
    settings = load_settings({"metrics.port": metrics_port})
    metrics = Metrics("sink")
    with metrics.served(settings.metrics), stop_on_signal(shutdown_seconds=STOP_SECONDS) as stop:
        counts = serve(settings, chosen, clock=SystemClock(), stop=stop, metrics=metrics)
    if json:
        emit_json({name: _summary(found) for name, found in counts.items()})
        return
    for name, found in counts.items():
        say(
            f"{name}: {found.rows} rows stored from {found.records} records, {found.repeated} repeated, "
            f"{found.dead_lettered} dead-lettered"
        )


def _restore_all(names: list[str], *, json: bool) -> None:
    from obflow.clock import SystemClock
    from sinks.restore import restore

    settings = load_settings()
    with stop_on_signal(shutdown_seconds=STOP_SECONDS) as stop:
        found = [restore(settings, table, clock=SystemClock(), stop=stop) for table in map(_table, names)]
    if json:
        emit_json({"restored": [one._asdict() for one in found]})
        return
    for one in found:
        end = "" if one.whole else "; stopped before the end: run it again"
        say(f"{one.table}: {one.rows} rows put back from {one.records} records read again{end}")
        for sentence in one.gone:
            say(f"{one.table}: {sentence}")


def _table(name: str) -> Table[Any]:
    from sinks.tables import TABLES

    if name not in TABLES:
        raise UsageError(f"there is no table {name}", next_step=f"there are {', '.join(TABLES)}")
    return TABLES[name]


def _summary(counts: Counts) -> dict[str, int]:
    return {
        "records": counts.records,
        "rows": counts.rows,
        "repeated": counts.repeated,
        "different": counts.different,
        "dead_lettered": counts.dead_lettered,
        "expired": counts.expired,
        "batches": counts.batches,
    }


tables = typer.Typer(help="Bring the database's tables to what the code expects, or check them.", no_args_is_help=True)


@tables.command()
def apply(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    json: JsonFlag = False,
) -> None:
    """Create the database and whatever of its tables and views is missing; doing it again changes nothing.

    Example: obflow tables apply --set clickhouse.database=obflow
    """
    from sinks import migrate

    settings = load_settings()
    if not dry_run:
        migrate.create_database(settings.clickhouse)
    store = _open(settings)
    act = migrate.plan if dry_run else migrate.apply
    steps = [step.what for step in act(store, migrate.ttl_days_of(settings))]
    if json:
        emit_json({"database": settings.clickhouse.database, "dry_run": dry_run, "steps": steps})
        return
    for step in steps:
        say(f"{step}")
    if not steps:
        say("the tables were as declared")


@tables.command()
def check(json: JsonFlag = False) -> int:
    """Name every difference between the declared tables and the database's; exits with 1 if there is one.

    Example: obflow tables check --json
    """
    from sinks import migrate
    from sinks.tables import TABLES

    settings = load_settings()
    store = _open(settings)
    steps, drifted = migrate.plan(store, migrate.ttl_days_of(settings)), migrate.drift(store)
    differences = [*(f"not done: {step.what}" for step in steps if step.mends not in drifted), *drifted]
    if json:
        emit_json({"tables": list(TABLES), "differences": differences})
    else:
        for difference in differences:
            say(f"{difference}")
        if not differences:
            say(f"all {len(TABLES)} tables are as declared")
        elif steps:
            say("`obflow tables apply` does what is not done, and makes what does not exist")
    return EXIT_FAILED if differences else EXIT_DONE


def describe(name: Annotated[str, typer.Argument(help="A table or view, as factors.")], json: JsonFlag = False) -> None:
    """Say of each column what it means: name, unit, range, meaning.

    Example: obflow describe factors
    """
    from sinks.describe import describe as describe_table

    columns = describe_table(_open(load_settings(), readonly=True), name)
    if json:
        emit_json({"table": name, "columns": [column._asdict() for column in columns]})
        return
    print_columns(("column", "unit", "range", "meaning"), [(c.name, c.unit, c.range, c.meaning) for c in columns])


dead_letters = typer.Typer(help="List, show and send again what could not be used.", no_args_is_help=True)


@dead_letters.command("list")
def list_letters(
    reason: Annotated[str, typer.Option(help="Only this reason, as DecodeError.")] = "",
    role: Annotated[str, typer.Option(help="Only this role: producer, processor, regimes or sink.")] = "",
    topic: Annotated[str, typer.Option(help="Only records of this topic.")] = "",
    limit: Annotated[int, typer.Option(help="At most this many, the newest first.", min=1, max=10_000)] = 100,
    json: JsonFlag = False,
) -> None:
    """List the newest dead letters, without their payload.

    Example: obflow dead-letters list --reason DecodeError --limit 20
    """
    from sinks.dead_letters import stored_letters

    letters = stored_letters(_open(load_settings(), readonly=True), reason=reason, role=role, topic=topic, limit=limit)
    if json:
        emit_json({"letters": [letter._asdict() for letter in letters]})
        return
    for letter in letters:
        what = f"{letter.source_topic} {letter.venue}:{letter.symbol}".strip(" :") or "-"
        say(f"{letter.letter_id}  {letter.role}  {letter.reason}  {what}  {letter.error}")
    if not letters:
        say("there are no such letters")


@dead_letters.command()
def show(letter_id: Annotated[str, typer.Argument(help="As listed.")], json: JsonFlag = False) -> None:
    """Show one dead letter with its payload.

    Example: obflow dead-letters show kX3f9QaZ:7:4711
    """
    from sinks.dead_letters import find_letters

    found = find_letters(_open(load_settings(), readonly=True), letter_id)
    if not found:
        raise _unknown(letter_id)
    if json:
        emit_json({"letters": [{**letter._asdict(), "payload_hex": payload.hex()} for letter, payload in found]})
        return
    for letter, payload in found:
        for name, value in letter._asdict().items():
            say(f"{name:<17} {value}")
        say_lines(f"{'payload':<17} {payload!r}")


@dead_letters.command("redrive")
def redrive_letters(
    letter_id: Annotated[list[str], typer.Argument(help="As listed; may be repeated.")], json: JsonFlag = False
) -> None:
    """Send refused records to their topics again, once what refused them is mended.

    Their rows get the identity they would have had, so that sending one twice stores it once.

    Example: obflow dead-letters redrive kX3f9QaZ:7:4711
    """
    from sinks.dead_letters import ROLE, find_letters, redrive

    settings = load_settings()
    store = _open(settings, readonly=True)
    sent: dict[str, str] = {}
    for one in letter_id:
        found = [pair for pair in find_letters(store, one) if pair[0].role == ROLE]
        if not found:
            raise _unknown(one)
        sent[one] = redrive(settings, *found[0])
    if json:
        emit_json({"sent": sent})
        return
    for one, name in sent.items():
        say(f"sent {one} to {name} again")


def _unknown(letter_id: str) -> UsageError:
    return UsageError(f"there is no letter {letter_id}", next_step="`obflow dead-letters list` lists the newest")


def _open(settings: Settings, *, readonly: bool = False) -> Store:
    from sinks.store import Store

    return Store(settings.clickhouse, readonly=readonly)
