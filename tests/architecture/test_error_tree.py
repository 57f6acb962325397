"""The error tree at the head of `schemas/errors.py` shows every error there is, each under its base."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from schemas import errors

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "orderbook", "obflow", "producers", "processors", "sinks", "research", "embedded")


def bases() -> dict[str, tuple[str, str]]:
    """Every error's base and file; of those that come from `PipelineError`."""
    found: dict[str, tuple[str, str]] = {}
    for path in (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and node.bases:
                base = ast.unparse(node.bases[0]).rpartition(".")[2]
                found[node.name] = (base, path.relative_to(ROOT).as_posix())
    known = {"PipelineError"}
    while more := {name for name, (base, _) in found.items() if base in known} - known:
        known |= more
    return {name: found[name] for name in known if name != "PipelineError"}


def tree(text: str) -> dict[str, str]:
    """What the drawing says: each error and the one above it."""
    above: list[str] = []
    drawn = {}
    for line in text.splitlines():
        match = re.match(r"    ((?:[│ ]  )*)(?:[├└]─ )?(\w+(?:Error|Refused|Unreachable)?)(?:\s|$)", line)
        if match is None or not hasattr(errors, match[2]):
            continue
        depth = line.index(match[2]) // 3
        above = [*above[: depth - 1], match[2]]
        if len(above) > 1:
            drawn[match[2]] = above[-2]
    return drawn


def test_the_tree_shows_every_error_of_its_module_under_its_base() -> None:
    shared = {name: base for name, (base, path) in bases().items() if path == "schemas/errors.py"}
    assert len(shared) > 15
    assert tree(str(errors.__doc__).partition("Local errors:")[0]) == shared


def test_errors_that_are_local_are_named_below_it() -> None:
    local = {name for name, (_, path) in bases().items() if path != "schemas/errors.py"}
    said = str(errors.__doc__).partition("Local errors:")[2].partition("A dead letter")[0]
    named = {word for word in re.findall(r"[A-Z]\w+", said) if word not in vars(errors)}
    assert {"InsertBusy", "QueryFailed"} <= local
    assert named == local
