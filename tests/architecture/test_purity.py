"""What is pure stays so: who opens a file knows from its folder what it may touch.

Which folders are pure is read from `pyproject.toml` alone, whosever they are, and a new file in one is covered unnamed.
"""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import pytest

from tests.architecture.test_contracts import PACKAGES, PURE, ROOT, lint, sources

OPENING = frozenset({"open", "input", "exec", "eval", "compile", "__import__", "breakpoint", "print"})
"""Built-ins that reach beyond a function's arguments. An import contract cannot see them."""
PLANTED = ("random", "pathlib", "io", "time", "datetime", "socket")
FILES = sorted({path for module in PURE for path in sources(module)})


def reaches_out(source: str) -> list[str]:
    """Where built-ins are named that reach beyond a function's arguments, as `line: name`."""
    names = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name))
    return [f"{name.lineno}: {name.id}" for name in names if name.id in OPENING and isinstance(name.ctx, ast.Load)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_pure_file_opens_or_prints_anything(path: Path) -> None:
    assert reaches_out(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "open('x')",
        "list(map(open, names))",
        "def f():\n    return [line for line in open(name)]",
        "with open(path, 'wb') as file:\n    pass",
    ],
)
def test_a_planted_open_is_found(source: str) -> None:
    assert reaches_out(source) != []


def test_a_function_of_that_name_that_is_somebodys_own_is_no_reach() -> None:
    assert reaches_out("self.open(x)\nbook.compile()\nprice.is_open()") == []


def test_the_processors_pure_rooms_are_folders_and_everything_else_is_an_edge() -> None:
    mine = {module for module in PURE if module.startswith("processors")}
    rooms = {"anomalies", "arbitrage", "derived", "factors", "regimes", "rollout", "signals", "stages"}
    assert mine == {f"processors.{name}" for name in {"contract", *rooms}}
    folders = {path.name for path in (ROOT / "processors").iterdir() if (path / "__init__.py").exists()}
    assert folders - {module.split(".")[1] for module in mine} == {"llm", "worker"}


def test_what_is_planted_in_a_new_file_of_any_pure_folder_breaks_its_contract(
    tmp_path: Path,
) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    folders = [module for module in PURE if (ROOT / module.replace(".", "/")).is_dir()]
    for module in folders:
        planted = tmp_path / module.replace(".", "/") / "planted.py"
        planted.write_text("".join(f"import {name}\n" for name in PLANTED), "utf-8")
    told = set(re.findall(r"(\S+)\.planted -> (\w+)", lint(tmp_path)))
    assert told == {(module, name) for module in folders for name in PLANTED}
    roots = {module.split(".")[0] for module in folders}
    assert roots == {"schemas", "orderbook", "producers", "processors", "sinks", "research"}
