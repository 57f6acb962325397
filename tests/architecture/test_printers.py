"""One module writes to standard output and standard error, and escapes what it writes (`obflow.terminal`)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("obflow", "schemas", "orderbook", "producers", "processors", "sinks", "research", "embedded")
HOME = ROOT / "obflow" / "terminal.py"
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")) if path != HOME]
STREAMS = {"stdout", "stderr", "__stdout__", "__stderr__"}
WRITERS = {"print", "echo", "secho", "pprint", "print_exc", "print_exception", "print_stack", "print_tb", "basicConfig"}
IMPORTED = WRITERS | STREAMS | {"Console"}
OF_THE_LOG = {"obflow/logs.py": ["sys.stderr"]}
"""Log lines go to standard error by their own renderers, which escape as the printer does."""


def ways_to_print(source: str) -> list[str]:
    """What a module could write to a terminal with. To ask whether a stream is a terminal is no such thing."""
    tree = ast.parse(source)
    asked = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "isatty"}
    return [way for node in _at_run_time(tree) if id(node) not in asked for way in _ways(node)]


def _ways(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        if node.value.id == "sys" and node.attr in STREAMS:
            yield f"sys.{node.attr}"
        if node.attr in WRITERS | {"Console"} and node.value.id != "self" and node.attr != "print":
            yield f"{node.value.id}.{node.attr}"
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
        yield "print"
    elif isinstance(node, ast.ImportFrom):
        yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.name in IMPORTED)


def _at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            yield from (inner for other in child.orelse for inner in [other, *_at_run_time(other)])
            continue
        yield child
        yield from _at_run_time(child)


def test_nobody_else_writes_to_a_terminal() -> None:
    found = {path.relative_to(ROOT).as_posix(): ways_to_print(path.read_text("utf-8")) for path in FILES}
    assert {name: ways for name, ways in found.items() if ways} == OF_THE_LOG


def test_the_printer_does() -> None:
    assert {"sys.stdout", "sys.stderr", "rich.console.Console"} <= set(ways_to_print(HOME.read_text("utf-8")))


@pytest.mark.parametrize(
    "line",
    [
        "sys.stdout.write(x)",
        "sys.stderr.flush()",
        "sys.__stdout__.buffer.write(x)",
        "target = sys.stderr",
        "from sys import stdout",
        "print(x)",
        "typer.echo(x)",
        "from typer import secho",
        "from rich import print",
        "from rich.console import Console",
        "def f():\n    from rich.console import Console",
        "console = rich.console.Console()\nimport rich\nrich.Console()",
        "traceback.print_exception(error)",
        "from pprint import pprint",
        "logging.basicConfig()",
    ],
)
def test_the_check_sees_a_planted_writer(line: str) -> None:
    assert ways_to_print(line) != []


def test_to_ask_for_a_terminal_and_to_name_a_type_is_for_everybody() -> None:
    text = "sys.stdout.isatty()\nif TYPE_CHECKING:\n    from rich.console import Console\nscreen.print(x)"
    assert ways_to_print(text) == []
