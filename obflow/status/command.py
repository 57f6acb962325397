"""The command `obflow status`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from obflow.cli import JsonFlag, emit_json, load_settings, stop_on_signal
from obflow.durations import seconds_of

if TYPE_CHECKING:
    import threading

    from obflow.settings import Settings


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until stopped.")] = False,
    every: Annotated[str, typer.Option(help="Time between two looks, which rates are measured over.")] = "2s",
    json: JsonFlag = False,
) -> None:
    """Show what every role is doing now: members, rates, lag, books, rows, dead letters, regimes, cost of the model.

    It reads the topics, the tables and the roles' own pages, and changes nothing; what does not answer is said.

    Example: obflow status --watch
    """
    from obflow.status.look import look, since
    from obflow.status.show import print_sections
    from obflow.status.table import as_json

    pause_s = seconds_of("--every", every, most_s=3600.0) or 2.0
    settings = load_settings()
    with stop_on_signal() as stop:
        if watch and not json:
            _draw(settings, pause_s, stop)
            return
        before = look(settings)
        while not stop.wait(pause_s):
            after = look(settings)
            sections = since(before, after)
            if json:
                emit_json(as_json(sections, datetime.now(UTC).isoformat(timespec="seconds")))
            else:
                print_sections(sections)
            if not watch:
                return
            before = after


def _draw(settings: Settings, pause_s: float, stop: threading.Event) -> None:
    """Draw one picture that renews itself; where there is no terminal, one below the other."""
    from rich.live import Live

    from obflow.status.look import look, since
    from obflow.status.show import group_of
    from obflow.terminal import console

    before = look(settings)
    with Live(group_of(since(None, before)), console=console(), screen=False, auto_refresh=False) as live:
        while not stop.wait(pause_s):
            after = look(settings)
            live.update(group_of(since(before, after)), refresh=True)
            before = after
