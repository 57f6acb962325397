"""What every role needs is written once: units, back-off, dead letters, the identity of a log."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "orderbook", "obflow", "producers", "processors", "sinks", "research", "embedded")


def code(*but: str) -> list[Path]:
    """Every file of the packages, without the homes."""
    files = [path for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py"))]
    return [path for path in files if path.relative_to(ROOT).as_posix() not in but]


@cache
def nodes(text: str) -> tuple[ast.AST, ...]:
    """A source, taken apart once for all that is looked for in it."""
    return tuple(ast.walk(ast.parse(text)))


def found_in(search: Callable[[str], object], *homes: str) -> dict[str, object]:
    """What a search finds, by file, outside of where it belongs."""
    searched = {path.relative_to(ROOT).as_posix(): search(path.read_text("utf-8")) for path in code(*homes)}
    return {name: found for name, found in searched.items() if found}


def numbers(text: str) -> Iterator[float]:
    """Every number that is written in a file, powers of ten worked out."""
    for node in nodes(text):
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            yield node.value
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            sides = (node.left, node.right)
            if all(isinstance(side, ast.Constant) and isinstance(side.value, int) for side in sides):
                yield node.left.value**node.right.value  # type: ignore[attr-defined]


def units_defined(text: str) -> set[str]:
    """Names of units that a file gives a value."""
    names = {
        target.id
        for node in nodes(text)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    return {name for name in names if "_PER_" in name and name.split("_")[0] in ("NS", "US", "MS")}


def test_the_search_finds_what_it_looks_for() -> None:
    assert set(numbers("a = 10**9 + 1e9 + 1_000")) == {10, 9, 10**9, 1e9, 1_000}
    assert units_defined("NS_PER_MS: Final = 1\nMS_PER_DAY = 2\nother = 3\n") == {"NS_PER_MS", "MS_PER_DAY"}
    assert len(code()) > 150


def test_a_unit_of_time_is_written_in_its_home_alone() -> None:
    assert found_in(lambda text: {10**9, 24 * 3600 * 1000} & set(numbers(text)), "schemas/units.py") == {}
    assert found_in(units_defined, "schemas/units.py") == {}


def cuts_of_ids(text: str) -> list[int]:
    """Lines that cut a topic's id themselves."""
    return [
        node.lineno
        for node in nodes(text)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice)
        if "topic_id" in ast.unparse(node.value)
    ]


def test_the_short_form_of_a_logs_id_is_cut_in_its_home_alone() -> None:
    assert cuts_of_ids("log = topic_id[:8]\nother = log.topic_id[:N]\n") == [1, 2]
    assert found_in(cuts_of_ids, "schemas/logs.py") == {}


def letters_made(text: str) -> list[int]:
    """Lines that make a dead letter field by field."""
    calls = [node for node in nodes(text) if isinstance(node, ast.Call)]
    return [node.lineno for node in calls if ast.unparse(node.func).rpartition(".")[2] == "DeadLetter"]


def test_a_dead_letter_is_made_in_its_home_alone() -> None:
    assert letters_made("a = DeadLetter(\n'id')\nb = messages.DeadLetter('id')\n") == [1, 3]
    assert found_in(letters_made, "schemas/dead_letters.py") == {}


def doublings(text: str) -> list[int]:
    """Lines that raise two to a power that changes: how waits grow."""
    powers = [node for node in nodes(text) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow)]
    return [
        node.lineno
        for node in powers
        if isinstance(node.left, ast.Constant) and node.left.value == 2 and not isinstance(node.right, ast.Constant)
    ]


def test_waits_grow_in_one_place_alone() -> None:
    assert doublings("a = 2**tries\nb = 2.0 ** min(tries, 8)\nc = 2**63\n") == [1, 2]
    assert found_in(doublings, "obflow/backoff.py") == {}
