"""The demo's picture: a terminal of 80 columns shows it without a broken line."""

from __future__ import annotations

from collections import Counter

from rich.cells import cell_len
from rich.console import Console

from embedded.demo.screen import Rates, book_line, panel, role_lines
from embedded.demo.watch import SeenPipeline, ShownBook
from schemas.messages import Status
from tests.obflow.hostile import HOSTILE, obeyed


def test_the_picture_fits_a_terminal_of_80_columns() -> None:
    books = {
        "binance-futures:BTCUSDT": ShownBook(Status.RESYNCING, None, None, None, 0),
        "binance-futures:ETHUSDT": ShownBook(Status.OK, 61_799.45, -0.185, 0.016, 0),
    }
    seen = SeenPipeline(
        books, events=123_456, l2_end=123_456, trades_end=234_567, lag=0, latency_ms=Counter({11: 99, 808: 1})
    )
    lines = role_lines("producer", {}, seen, Rates(40.0, 131.0, 44.0, 88.0), 123_456)
    console = Console(width=80, color_system=None)
    with console.capture() as captured:
        console.print(panel(lines, books, "Ctrl-C stops it"))
    shown = captured.get().splitlines()
    assert [line.split()[0] for line in shown] == ["producer", "processors", "sink", "book", *books, "Ctrl-C"]
    assert shown[4].split() == ["binance-futures:BTCUSDT", "RESYNCING", "–", "–", "–"]
    assert shown[5].split() == ["binance-futures:ETHUSDT", "OK", "61,799.45", "-0.185", "0.016"]


def test_names_from_outside_are_drawn_in_letters_and_columns() -> None:
    books = {name: ShownBook(Status.OK, 1.0, 0.1, 1.0, 0) for name in (HOSTILE, "v:[red]X", "v:比特币", "v:BTCUSDT")}
    screen = Console(width=600, color_system=None)
    with screen.capture() as captured:
        screen.print(panel([HOSTILE], books, "Ctrl-C stops it"))
    assert obeyed(captured.get()) == ""
    assert "[red]" in captured.get()
    rows = captured.get().splitlines()[2:-1]
    assert len({cell_len(row[: row.index("OK")]) for row in rows}) == 1
    lines = [book_line(name, books[name]) for name in ("v:比特币", "v:BTCUSDT")]
    assert len({cell_len(line) for line in lines}) == 1
