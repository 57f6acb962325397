"""What is compiled is compiled anew whenever anything that it was made of changes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from obflow.compiled_cache import CONSTANTS, SOURCES

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "orderbook", "processors", "producers", "sinks")
NOT_COMPILED_IN = {"schemas/codec.py"}
"""What reads and writes whole records, outside of compiled code."""


def constants_from(path: Path) -> Iterator[str]:
    """Give the modules of ours that a file takes constants from."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and any(name.name.isupper() for name in node.names):
            yield f"{node.module}".replace(".", "/") + ".py"


def test_every_module_that_compiled_code_takes_constants_from_is_part_of_the_digest() -> None:
    taken = {module for folder in SOURCES for path in (ROOT / folder).glob("*.py") for module in constants_from(path)}
    outside = {module for module in taken if module.startswith(PACKAGES) and not module.startswith(SOURCES)}

    assert outside - set(CONSTANTS) <= NOT_COMPILED_IN
    assert all((ROOT / name).is_file() for name in CONSTANTS)
