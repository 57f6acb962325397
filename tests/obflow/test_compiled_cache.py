"""What is compiled is compiled anew whenever anything that it was made of changes."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from obflow import compiled_cache
from obflow.compiled_cache import (
    CACHE_VARIABLE,
    CONSTANTS,
    CPU_VARIABLE,
    FEATURES_VARIABLE,
    SOURCES,
    is_compiled,
    keep_compiled,
    note_compiled,
)

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


def noted(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Note something as compiled, in a cache of its own."""
    monkeypatch.setenv(CACHE_VARIABLE, str(cache))
    keep_compiled(cache)
    cache.mkdir(exist_ok=True)
    note_compiled("it")
    assert is_compiled("it", cache)


def test_what_was_noted_is_known_under_its_own_word_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    noted(monkeypatch, tmp_path)
    assert not is_compiled("something else", tmp_path)


@pytest.mark.parametrize(("name", "value"), [(CPU_VARIABLE, "generic"), (FEATURES_VARIABLE, "+sse2")])
def test_what_was_compiled_for_another_processor_does_not_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    noted(monkeypatch, tmp_path)
    monkeypatch.setenv(name, value)
    assert not is_compiled("it", tmp_path)


@pytest.mark.parametrize("change", ["touched", "moved"])
def test_what_was_compiled_of_other_files_does_not_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: str
) -> None:
    """Even of the same content: numba knows them by place and time."""
    own = {name: tmp_path / name for name in ("here", "there")}
    for folder in own.values():
        for name in (*(f"{source}/it.py" for source in SOURCES), *CONSTANTS):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("1")
    monkeypatch.setattr(compiled_cache, "ROOT", own["here"])
    noted(monkeypatch, tmp_path / "cache")
    if change == "touched":
        os.utime(own["here"] / SOURCES[0] / "it.py", ns=(1, 1))
    else:
        monkeypatch.setattr(compiled_cache, "ROOT", own["there"])
    assert not is_compiled("it", tmp_path / "cache")
