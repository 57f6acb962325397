"""The demo's picture: a terminal of 80 columns shows it without a broken line."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.live import Live

from embedded.demo.plan import DemoPlan, DemoSource
from embedded.demo.rates import Figures, RateWindow
from embedded.demo.screen import STALE_S, RoleState, book_line, figures, panel
from embedded.demo.watch import DERIVED, SeenPipeline, ShownBook
from obflow import logs
from obflow.settings import LogSettings
from obflow.terminal import console as printer
from schemas.messages import Status
from tests.obflow.hostile import HOSTILE, obeyed

NOW_S = 100.0


def drawn(books: dict[str, ShownBook], lines: list[str], width: int = 80) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(panel(lines, books, "Ctrl-C stops it", NOW_S))
    return captured.get().splitlines()


def role_lines(seen: SeenPipeline) -> list[str]:
    said = figures(seen, 123_456, Figures(40.0, 131.0, 44.0, 88.0, 0.8, 0.1, 0.2, 3.0, 0.0))
    return [RoleState(name).says(said[key]) for name, key in {"producers": "source", **{n: n for n in ROLES}}.items()]


ROLES = ("processors", *DERIVED, "sink")


def test_the_picture_fits_a_terminal_of_80_columns() -> None:
    books = {
        "binance-futures:BTCUSDT": ShownBook(Status.RESYNCING, None, None, None, 0, NOW_S - 12.4),
        "binance-futures:ETHUSDT": ShownBook(Status.OK, 61_799.45, -0.185, 0.016, 0, NOW_S - 0.25),
    }
    seen = SeenPipeline(
        books, events=123_456, l2_end=123_456, trades_end=234_567, lag=0, latency_ms=Counter({11: 99, 808: 1})
    )
    planted = DemoPlan(DemoSource.SIMULATOR, {"binance": ("X",)}, None, workers=1, seconds=1.0).planted
    lines = [*role_lines(seen), RoleState("simulator").says(planted)]
    shown = drawn(books, lines)
    assert [line.split()[0] for line in shown] == ["producers", *ROLES, "simulator", "book", *books, "Ctrl-C"]
    assert shown[10].split() == ["binance-futures:BTCUSDT", "RESYNCING", "–", "–", "–", "12.4", "s"]
    assert shown[11].split() == ["binance-futures:ETHUSDT", "OK", "61,799.45", "-0.185", "0.016", "0.2", "s"]


def test_every_role_of_the_demo_has_a_line_with_figures() -> None:
    plan = DemoPlan(DemoSource.SIMULATOR, {"binance": ("X",)}, None, workers=1, seconds=1.0)
    assert {role.line for role in plan.derived} <= set(figures(SeenPipeline(), 0, Figures()))


def test_every_figure_of_the_picture_has_its_unit() -> None:
    seen = SeenPipeline(
        {},
        events=5,
        l2_end=6,
        trades_end=7,
        lag=8,
        derived=dict(zip(DERIVED, (9, 4, 3, 70, 2), strict=True)),
        latency_ms=Counter({11: 1}),
    )
    assert role_lines(seen) == [
        "producers  6 book updates (40/s), 7 trades (131/s) on the log",
        "processors 5 events (44/s), lag 8 records, latency p50 11 ms, p99 11 ms",
        "regimes    9 verdicts (0.8/s) on the log",
        "signals    4 openings and closings (0.1/s) on the log",
        "anomalies  3 beginnings and ends (0.2/s) on the log",
        "quotes     70 tops of books (3.0/s) on the log",
        "arbitrage  2 steps of episodes (0.0/s) on the log",
        "sink       123,456 factor rows in ClickHouse (88/s)",
    ]
    assert drawn({}, [])[0].split() == ["book", "status", "mid", "(quote)", "imbalance", "−1…1", "spread", "bps", "age"]


def test_a_role_that_is_away_says_so_in_place_of_its_figures() -> None:
    assert RoleState("sink", running=0, restarts=2).says("5 rows") == (
        "sink       ended, is being started again; restarts: 2"
    )
    assert RoleState("processors", running=1, wanted=2).says("5 events") == "processors 5 events; 1 of 2 run"


def test_a_stale_book_is_grey_with_its_age() -> None:
    fresh, stale = (ShownBook(Status.OK, 1.0, 0.1, 1.0, 0, NOW_S - age_s) for age_s in (STALE_S, STALE_S + 1))
    console = Console(width=90, force_terminal=True, color_system="standard")
    with console.capture() as captured:
        console.print(panel([], {"v:a": fresh, "v:b": stale}, "", NOW_S))
    first, second = captured.get().splitlines()[1:3]
    assert "\x1b[32m" in first  # green
    assert "\x1b[90m" in second  # grey
    assert "\x1b[32m" not in second
    assert "6.0 s" in second
    assert book_line("v:b", stale, NOW_S).endswith("age 6.0 s (stale)")


def test_a_log_line_stands_above_the_picture_and_the_picture_is_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    before = logging.getLogger().handlers[:]
    try:
        logs.configure(LogSettings(format="console"))
        with Live(console=printer(stderr=True), auto_refresh=False) as live:
            live.update("a picture", refresh=True)
            logging.getLogger("librdkafka").warning("no broker answers")
    finally:
        logging.getLogger().handlers[:] = before
    picture, line, anew = terminal.getvalue().partition("no broker answers")
    assert line
    assert picture.rindex("a picture") < picture.rindex("\x1b[2K")  # wiped before the line is written
    assert "a picture" in anew


def test_rates_are_means_over_five_seconds() -> None:
    window = RateWindow()
    assert window.add(0.0, Figures(l2=100)) == Figures()
    assert window.add(2.0, Figures(l2=140)).l2 == 20.0
    looks = [window.add(float(second), Figures(l2=140)).l2 for second in range(3, 9)]
    assert looks == [40 / 3, 10.0, 8.0, 40 / 6, 0.0, 0.0]


def test_names_from_outside_are_drawn_in_letters_and_columns() -> None:
    books = {
        name: ShownBook(Status.OK, 1.0, 0.1, 1.0, 0, NOW_S) for name in (HOSTILE, "v:[red]X", "v:比特币", "v:BTCUSDT")
    }
    screen = Console(width=600, color_system=None)
    with screen.capture() as captured:
        screen.print(panel([HOSTILE], books, "Ctrl-C stops it", NOW_S))
    assert obeyed(captured.get()) == ""
    assert "[red]" in captured.get()
    rows = captured.get().splitlines()[2:-1]
    assert len({cell_len(row[: row.index("OK")]) for row in rows}) == 1
    lines = [book_line(name, books[name], NOW_S) for name in ("v:比特币", "v:BTCUSDT")]
    assert len({cell_len(line) for line in lines}) == 1
