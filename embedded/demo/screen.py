"""What the demo prints: a line a role and a line a book, redrawn on a terminal, repeated elsewhere.

Usual numbers fit a terminal of 80 columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from embedded.demo.rates import SPAN_S, Figures
from embedded.demo.watch import SeenPipeline, ShownBook
from obflow.terminal import escape_text, pad
from schemas.messages import Status

_STYLE = {Status.OK: "green", Status.THIN: "yellow", Status.RESYNCING: "red"}
STALE_STYLE: Final = "bright_black"  # grey
STALE_S: Final = SPAN_S
"""A book without an event for so long is drawn as stale: its figures are older than every rate beside them."""
DERIVED_WORDS: Final = {
    "regimes": "verdicts",
    "signals": "openings and closings",
    "anomalies": "beginnings and ends",
    "quotes": "tops of books",
    "arbitrage": "steps of episodes",
}
SCRIPTED_LINE: Final = "scripted: fixed rules answer in its place, no model is asked"
HEADINGS: Final = ("mid (quote)", "imbalance −1…1", "spread bps", "age")


@dataclass(frozen=True)
class RoleState:
    """How the processes of a role are.

    Attributes:
        name: Of the role.
        running: How many run now.
        wanted: How many there are to be.
        restarts: How often they were started again.
    """

    name: str
    running: int = 1
    wanted: int = 1
    restarts: int = 0

    def says(self, figures: str) -> str:
        """The role's line: what it did, or that it is away."""
        if not self.running:
            figures = "ended, is being started again"
        elif self.running < self.wanted:
            figures += f"; {self.running} of {self.wanted} run"
        restarts = f"; restarts: {self.restarts}" if self.restarts else ""
        return f"{self.name:<11}{figures}{restarts}"


def figures(seen: SeenPipeline, rows: int, speed: Figures) -> dict[str, str]:
    """What each role did, by its name; the one that brings records in is `source`.

    Args:
        seen: What the watch saw.
        rows: Rows of the factor table.
        speed: Each per second.
    """
    p50, p99 = seen.latency_quantile_ms(0.5), seen.latency_quantile_ms(0.99)
    latency = f", latency p50 {p50:.0f} ms, p99 {p99:.0f} ms" if p50 is not None and p99 is not None else ""
    return {
        "source": f"{seen.l2_end:,} book updates ({speed.l2:,.0f}/s), {seen.trades_end:,} trades"
        f" ({speed.trades:,.0f}/s) on the log",
        "processors": f"{seen.events:,} events ({speed.events:,.0f}/s), lag {seen.lag:,} records{latency}",
        **{
            line: f"{seen.derived[line]:,} {words} ({getattr(speed, line):,.1f}/s) on the log"
            for line, words in DERIVED_WORDS.items()
        },
        "sink": f"{rows:,} factor rows in ClickHouse ({speed.rows:,.0f}/s)",
    }


def book_line(name: str, book: ShownBook, now_s: float) -> str:
    """One book in words."""
    mid, imbalance, spread, age = _numbers(book, now_s)
    stale = " (stale)" if _is_stale(book, now_s) else ""
    told = f"mid {mid:>12}   imbalance {imbalance:>6}   spread {spread} bps   age {age}{stale}"
    return f"{pad(name, 28)}{book.status:<11}{told}"


def panel(lines: Iterable[str], books: Mapping[str, ShownBook], remaining: str, now_s: float) -> Group:
    """The live picture of a terminal."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("book", no_wrap=True)  # a name that is too long must not go on where a line of ours begins
    table.add_column("status")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for name in sorted(books):
        book = books[name]
        cells = (name, str(book.status), *_numbers(book, now_s))
        table.add_row(*(Text(escape_text(cell)) for cell in cells), style=_style(book, now_s))
    return Group(*(Text(escape_text(line)) for line in lines), table, Text(remaining, style="dim"))


def _style(book: ShownBook, now_s: float) -> str:
    return STALE_STYLE if _is_stale(book, now_s) else _STYLE.get(book.status, "yellow")


def _is_stale(book: ShownBook, now_s: float) -> bool:
    return now_s - book.seen_s > STALE_S


def _numbers(book: ShownBook, now_s: float) -> tuple[str, str, str, str]:
    mid = "–" if book.mid is None else f"{book.mid:,.{_decimals(book.mid)}f}"
    imbalance = "–" if book.obi_l5 is None else f"{book.obi_l5:+.3f}"
    spread = "–" if book.spread_bps is None else f"{book.spread_bps:.3f}"
    return mid, imbalance, spread, f"{max(0.0, now_s - book.seen_s):.1f} s"


def _decimals(price: float) -> int:
    """Decimals that show seven significant digits, at least two."""
    return 2 if price <= 0.0 else max(2, 6 - math.floor(math.log10(price)))
