"""Statements the embedded engine is tried with: ordinary ones, and a generator of the other kind."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
PARAMETERS = {"n": "1", "s": "BTCUSDT", "d": "2024-01-01", "a": "[1,2]", "t": "trades"}
"""Values for the statements of `allowed.sql` that have parameters."""


def tables() -> list[str]:
    """Statements that make the tables the others ask."""
    return _statements("tables.sql")


def allowed() -> list[str]:
    """Ordinary analysis, as a reader asks for it: none of it may be refused."""
    return _statements("allowed.sql")


def _statements(name: str) -> list[str]:
    return _HERE.joinpath(name).read_text("utf-8").strip().split("\n\n")
