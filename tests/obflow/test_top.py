"""`obflow top`: the tables renew themselves, hold still, and obey no text from outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from io import StringIO

import pytest
from rich.console import Console
from textual.pilot import Pilot
from textual.widgets import Static

from obflow.cli import main
from obflow.status.look import Look
from obflow.status.show import group_of
from obflow.status.table import StatusTable
from obflow.status.top import PAUSED, Top
from tests.obflow.hostile import HOSTILE, obeyed
from tests.support.patience import patient


def looks(name: str = "BTCUSDT") -> Iterator[Look]:
    for number in range(1_000):
        table = StatusTable("books", 60, ("instrument", "events"), ((name, number * 10),), totals=("events",))
        yield Look((table,), float(number))


def picture(app: Top) -> str:
    head, tables = (app.query_one(f"#{part}", Static) for part in ("head", "tables"))
    with app.console.capture() as captured:
        app.console.print(head.content, tables.content)
    return captured.get()


async def shown(app: Top, pilot: Pilot[None], is_there: Callable[[str], bool]) -> str:
    """The picture, as soon as something is in it."""
    deadline_s = time.monotonic() + patient(5)
    while not is_there(text := picture(app)):
        assert time.monotonic() < deadline_s, text
        await pilot.pause(0.05)
    return text


async def test_tables_renew_themselves_with_rates() -> None:
    seen = looks()
    app = Top(lambda: next(seen), 0.05)
    async with app.run_test(size=(100, 40)) as pilot:
        first = await shown(app, pilot, lambda text: "10" in text)  # ten a look, one look a second of its own clock
        assert "BTCUSDT" in first
        await shown(app, pilot, lambda text: text != first)


async def test_a_picture_that_is_held_stays_and_says_so() -> None:
    seen = looks()
    app = Top(lambda: next(seen), 0.05)
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.pause(0.5)
        await pilot.press("p")
        await pilot.pause(0.3)
        held = picture(app)
        assert PAUSED in held
        await pilot.pause(0.3)
        assert picture(app) == held
        await pilot.press("p")
        await pilot.pause(0.5)
        assert PAUSED not in picture(app)
        await pilot.press("q")


def test_text_from_outside_is_shown_as_letters() -> None:
    """By whatever draws it: textual's own console knows nothing of our escapes."""
    [look] = [next(looks(HOSTILE))]
    plain = Console(file=StringIO(), width=400, force_terminal=False)
    plain.print(group_of(look.sections))

    assert isinstance(plain.file, StringIO)
    assert obeyed(plain.file.getvalue().encode()) == ""
    assert "x1b" in plain.file.getvalue()


def test_without_a_terminal_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top"]) == 2
    assert "`obflow status --watch` prints line by line" in capsys.readouterr().err
