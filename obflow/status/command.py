"""The commands `obflow status` and `obflow top`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from obflow.cli import emit_json, load_settings, stop_on_signal
from obflow.durations import seconds_of
from schemas.errors import UsageError

if TYPE_CHECKING:
    import threading

    from obflow.settings import Settings


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until stopped.")] = False,
    every: Annotated[str, typer.Option(help="Time between two looks, which rates are measured over.")] = "2s",
    json: Annotated[bool, typer.Option("--json", help="Print each look as one JSON object on a line.")] = False,
) -> None:
    """Show what every role is doing now: members, rates, lag, books, rows, dead letters, regimes, cost of the model.

    It reads the topics, the tables and the roles' own pages, and changes nothing; what does not answer is said.

    Example: obflow status --watch
    """
    from obflow.status.look import look, since
    from obflow.status.show import print_sections
    from obflow.status.table import as_json
    from obflow.terminal import console

    pause_s = seconds_of("--every", every, most_s=3600.0) or 2.0
    settings = load_settings()
    with stop_on_signal() as stop:
        if watch and not json and console().is_terminal:
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


def top(
    every: Annotated[str, typer.Option(help="Time between two looks, which rates are measured over.")] = "2s",
) -> None:
    """Show what `obflow status` shows, live on a terminal, near or over ssh: q ends it, p holds it, the arrows scroll.

    Example: obflow top --every 5s
    """
    from obflow.status.look import look
    from obflow.status.top import Top

    pause_s = seconds_of("--every", every, most_s=3600.0) or 2.0
    settings = load_settings()
    if not sys.stdout.isatty():
        raise UsageError("there is no terminal to draw on", next_step="`obflow status --watch` prints line by line")
    Top(lambda: look(settings), pause_s).run()


def _draw(settings: Settings, pause_s: float, stop: threading.Event) -> None:
    """Draw one picture that renews itself."""
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
