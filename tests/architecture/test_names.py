"""A name has one meaning, and a docstring stands under what it is about."""

from __future__ import annotations

import ast
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "orderbook", "producers", "processors", "obflow", "sinks", "research", "embedded")
BY_ITSELF = ("producers/simulator",)
"""The simulator shares no code with the adapters it is the yardstick of, nor its names."""

MAX_TEST_NAME = 80


def files_of(*packages: str) -> list[Path]:
    found = [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]
    return [path for path in found if not path.relative_to(ROOT).as_posix().startswith(BY_ITSELF)]


def classes(files: list[Path]) -> dict[str, list[str]]:
    """Where each class is declared; a leading underscore makes no other name of it."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in files:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                found[node.name.lstrip("_")].append(path.relative_to(ROOT).as_posix())
    return found


def strings_in_a_row(source: str) -> list[int]:
    """Lines of string statements that follow a string statement: one of them explains nothing."""
    statements = ast.parse(source).body
    return [
        after.lineno
        for before, after in pairwise(statements)
        if all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in (before, after))
    ]


def test_no_class_of_these_packages_is_called_like_another() -> None:
    found = classes(files_of(*PACKAGES))
    assert len(found) > 100
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def test_no_docstring_stands_where_another_one_belongs() -> None:
    files = files_of(*PACKAGES)
    odd = [f"{path.relative_to(ROOT)}:{line}" for path in files for line in strings_in_a_row(path.read_text("utf-8"))]
    assert odd == []
    assert strings_in_a_row('A = 1\n"""of A"""\n"""of B"""\nB = 2\n') == [3]


def test_the_name_of_a_test_is_a_sentence_that_fits_a_line() -> None:
    found = [
        (path.name, node.name)
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    assert len(found) > 1_000
    assert [(path, name) for path, name in found if len(name) > MAX_TEST_NAME] == []
