"""`obflow top`: the tables of `obflow status`, live, on a terminal near or far."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import ClassVar, Final

from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Footer, Static

from obflow.status.look import Look, since
from obflow.status.show import group_of

PAUSED: Final = "paused"


class Top(App[None]):
    """The picture: looks again every few seconds, beside the loop that draws, until `q`.

    Args:
        look: Looks once; may take as long as it needs.
        pause_s: Between two looks, seconds.
    """

    TITLE = "obflow"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("q", "quit", "Quit"),
        ("p", "pause", "Pause"),
        ("r", "again", "Look now"),
    ]
    CSS = "#head { height: 1; } #tables { height: auto; }"

    def __init__(self, look: Callable[[], Look], pause_s: float) -> None:
        super().__init__()
        self._look = look
        self._pause_s = pause_s
        self._before: Look | None = None
        self._paused = False
        self._now = asyncio.Event()
        self._seen_at = datetime.now(UTC)

    def compose(self) -> ComposeResult:
        """Lay out one line of state, and the tables below it."""
        yield Static("looking …", id="head", markup=False)
        with VerticalScroll():
            yield Static("", id="tables", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Begin to look."""
        self.run_worker(self._follow(), exclusive=True)

    def action_pause(self) -> None:
        """Leave the picture as it is, or go on."""
        self._paused = not self._paused
        self._now.set()

    def action_again(self) -> None:
        """Look at once."""
        self._now.set()

    async def _follow(self) -> None:
        while True:
            if not self._paused:
                await self._renew()
            self._say()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._now.wait(), self._pause_s)
            self._now.clear()

    async def _renew(self) -> None:
        found = await asyncio.to_thread(self._look)
        if not self.query("#tables"):
            return  # it is ending
        self.query_one("#tables", Static).update(group_of(since(self._before, found)))
        self._before = found
        self._seen_at = datetime.now(UTC)

    def _say(self) -> None:
        state = f"  {PAUSED}" if self._paused else ""
        if not self.query("#head"):
            return
        self.query_one("#head", Static).update(f"obflow  seen {self._seen_at:%H:%M:%S} UTC{state}")
