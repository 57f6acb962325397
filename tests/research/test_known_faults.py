"""Every known fault of the folder of cases has a test that shows it mended."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def marked() -> Iterator[str]:
    """The faults that tests are marked with."""
    for path in TESTS.rglob("test_*.py"):
        text = path.read_text("utf-8")
        if "mark.case(" in text:
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.case"):
                    yield from (str(ast.literal_eval(name)) for name in node.args)


@pytest.mark.cases
def test_every_known_fault_has_a_test_that_shows_it_mended(cases: Path) -> None:
    known = {path.name for path in cases.iterdir() if path.is_dir()}
    assert set(marked()) == known
