"""What the demo prints: a line a role and a line a book, redrawn on a terminal, repeated elsewhere.

Usual numbers fit a terminal of 80 columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Group
from rich.table import Table
from rich.text import Text

from embedded.demo.watch import SeenPipeline, ShownBook
from obflow.terminal import escape_text, pad
from schemas.messages import Status

_STYLE = {Status.OK: "green", Status.THIN: "yellow", Status.RESYNCING: "red"}


@dataclass(frozen=True)
class Rates:
    """Records per second since the last drawing."""

    l2: float
    trades: float
    events: float
    rows: float


def rates(before: SeenPipeline, now: SeenPipeline, rows_before: int, rows: int, seconds: float) -> Rates:
    """What happened between two looks."""
    span = max(seconds, 1e-3)
    return Rates(
        l2=(now.l2_end - before.l2_end) / span,
        trades=(now.trades_end - before.trades_end) / span,
        events=(now.events - before.events) / span,
        rows=(rows - rows_before) / span,
    )


def role_lines(source: str, running: Mapping[str, str], seen: SeenPipeline, speed: Rates, rows: int) -> list[str]:
    """One sentence a role."""
    p50, p99 = seen.latency_quantile_ms(0.5), seen.latency_quantile_ms(0.99)
    latency = f", latency p50 {p50:.0f} ms, p99 {p99:.0f} ms" if p50 is not None and p99 is not None else ""
    said = {
        source: f"{seen.l2_end:,} book updates ({speed.l2:,.0f}/s) and {seen.trades_end:,} trades"
        f" ({speed.trades:,.0f}/s) on the log",
        "processors": f"{seen.events:,} factor events ({speed.events:,.0f}/s), lag {seen.lag}{latency}",
        "sink": f"{rows:,} factor rows in ClickHouse ({speed.rows:,.0f}/s)",
    }
    notes = "".join(f"; {name}: {state}" for name, state in running.items() if state)
    return [f"{name:<11}{sentence}" for name, sentence in said.items()] + ([f"roles{notes}"] if notes else [])


def book_line(name: str, book: ShownBook) -> str:
    """One book in words."""
    mid, imbalance, spread = _numbers(book)
    return f"{pad(name, 28)}{book.status:<11}mid {mid:>14}   imbalance {imbalance:>7}   spread {spread} bps"


def panel(lines: list[str], books: Mapping[str, ShownBook], remaining: str) -> Group:
    """The live picture of a terminal."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("book", no_wrap=True)  # a name that is too long must not go on where a line of ours begins
    table.add_column("status")
    for heading in ("mid", "imbalance", "spread bps"):
        table.add_column(heading, justify="right")
    for name in sorted(books):
        book = books[name]
        cells = (name, str(book.status), *_numbers(book))
        table.add_row(*(Text(escape_text(cell)) for cell in cells), style=_STYLE.get(book.status, "yellow"))
    return Group(*(Text(escape_text(line)) for line in lines), table, Text(remaining, style="dim"))


def _numbers(book: ShownBook) -> tuple[str, str, str]:
    mid = "–" if book.mid is None else f"{book.mid:,.{_decimals(book.mid)}f}"
    imbalance = "–" if book.obi_10bps is None else f"{book.obi_10bps:+.3f}"
    spread = "–" if book.spread_bps is None else f"{book.spread_bps:.3f}"
    return mid, imbalance, spread


def _decimals(price: float) -> int:
    """Decimals that show seven significant digits, at least two."""
    return 2 if price <= 0.0 else max(2, 6 - math.floor(math.log10(price)))
