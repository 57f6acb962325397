"""The demo as one call: its loop, its screen, its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.live import Live

from embedded.demo.plan import SHUTDOWN_S
from embedded.demo.rates import Figures, RateWindow
from embedded.demo.run import TICK_S, Demo
from embedded.demo.screen import book_line, panel
from embedded.demo.summary import Summary, sentences
from embedded.demo.watch import ShownBook
from embedded.process import StopAsked
from obflow.settings import Settings, reference
from obflow.terminal import shell_word, tell, tell_lines

if TYPE_CHECKING:
    from rich.console import Console

STOPPING: Final = "stopping: what came is drained and summed up, within {:.0f} s; Ctrl-C again to cut off"
NOTHING_STORED: Final = "nothing was stored: the demo was stopped before the first record had come through"
YOUR_MODEL: Final = "the model was scripted: name yours with OBFLOW_REGIMES__BASE_URL, __MODEL and __API_KEY_FILE"
UNTIL_ASKED: Final = "Ctrl-C drains it, sums up and ends"
PLAIN_EVERY_S: Final = 5.0
ROWS_EVERY_S: Final = 1.0
EXAMPLE_SQL: Final = "SELECT symbol, count() FROM factors GROUP BY symbol"


def run(demo: Demo, seconds: float | None, stop: threading.Event, console: Console) -> Summary:
    """Start, show until the time is up or a signal comes, drain and sum up.

    Args:
        demo: What to run.
        seconds: How long; None until a signal.
        stop: Set by a signal, at any moment from the first step on.
        console: Where the picture is drawn.

    Returns:
        The summary, which is empty where a signal came before anything was stored.
    """
    with suppress(StopAsked):  # said below, as where it comes later
        _start_and_show(demo, seconds, stop, console)
    if stop.is_set():
        tell(STOPPING.format(demo.patience * SHUTDOWN_S))
    summary = demo.finish()
    if summary.is_empty:
        tell(NOTHING_STORED)
        return summary
    with demo.client() as client:
        for sentence in sentences(client, summary, planted=bool(demo.plan.planted)):
            tell(sentence)
    if demo.plan.model_port:
        tell(YOUR_MODEL)
    return summary


def _start_and_show(demo: Demo, seconds: float | None, stop: threading.Event, console: Console) -> None:
    demo.start(stop)
    demo.wait_first_event(stop)
    demo.wait_first_row(stop)
    demo.start_derived()
    demo.compile_beside()
    for line in how_to_query(demo.environment, Settings.load()).split("\n"):
        tell_lines(line)
    show(demo, seconds, stop, console)


def show(demo: Demo, seconds: float | None, stop: threading.Event, console: Console) -> None:
    """Draw until the time is up or a signal comes: one live picture on a terminal, a block of lines elsewhere."""
    until = None if seconds is None else time.monotonic() + seconds
    live = Live(console=console, refresh_per_second=4) if console.is_terminal else None
    with live or nullcontext():
        drawing = _Drawing(demo, live)
        while not stop.is_set() and (until is None or time.monotonic() < until):
            demo.tick()
            drawing.draw(UNTIL_ASKED if until is None else f"{max(0.0, until - time.monotonic()):.0f} s left")
            stop.wait(TICK_S)


class _Drawing:
    """Draws now and then, with rates over the last seconds."""

    def __init__(self, demo: Demo, live: Live | None) -> None:
        self._demo = demo
        self._live = live
        self._next_s = 0.0
        self._last_s = time.monotonic()
        self._window = RateWindow()

    def draw(self, left: str) -> None:
        """Draw, where it is time to."""
        if time.monotonic() - self._last_s < ROWS_EVERY_S:
            return
        seen, rows = self._demo.seen, self._demo.rows()
        now_s = time.monotonic()
        speed = self._window.add(now_s, Figures(seen.l2_end, seen.trades_end, seen.events, rows, **seen.derived))
        self._last_s = now_s
        self._show(self._demo.status(rows, speed), dict(seen.books), left, now_s)

    def _show(self, lines: list[str], books: dict[str, ShownBook], left: str, now_s: float) -> None:
        if self._live:
            self._live.update(panel(lines, books, left, now_s))
        elif now_s >= self._next_s:
            self._next_s = now_s + PLAIN_EVERY_S
            for line in (*lines, *(book_line(name, books[name], now_s) for name in sorted(books)), left, ""):
                tell(line)


def kept(folder: Path) -> list[str]:
    """The lines that say where the data is, and read it again once the demo has ended.

    Args:
        folder: The demo's own.
    """
    word = shell_word(str(folder))
    return [
        f"the data is kept in {word}",
        f"read the tables again: .venv/bin/obflow clickhouse --data {word}/clickhouse",
        f"read the log again:    .venv/bin/obflow kafka --data {word}/kafka",
        f"and ask in a second terminal, as before; a demo with --data {word} goes on with it",
    ]


def how_to_query(environment: Mapping[str, str], elsewhere: Settings) -> str:
    """The words, to be copied, that let a second terminal ask the tables and look after the roles.

    Args:
        environment: Variables that point a command at the demo.
        elsewhere: The settings that a command has in the second terminal without them.
    """
    shown = elsewhere.shown()
    usual = {entry.env: str(shown[entry.key]) for entry in reference()}
    other = [f"{name}={shell_word(value)}" for name, value in environment.items() if usual[name] != value]
    lines = [f"in a second terminal, first: export {' '.join(other)}"] if other else []
    lines.append(f'ask it, in a second terminal: .venv/bin/obflow query "{EXAMPLE_SQL}"')
    lines.append("see whether all is well:      .venv/bin/obflow doctor")
    return "\n".join(lines)
