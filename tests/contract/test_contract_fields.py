"""What a venue's contract and messages declare is read by somebody: a field that nobody reads promises nothing."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from pathlib import Path

import msgspec
import pytest

from producers import contract, messages
from producers.contract import Exchange, FrameReader
from schemas.factors import Factor
from schemas.topics import Topic
from sinks.contract import Column, Stream, Table

ROOT = Path(__file__).parents[2]
DECLARING = ("producers/contract.py", "producers/messages.py", "producers/exchanges/", "producers/simulator/")


def reading_files() -> list[Path]:
    """All of the producers but the declarations and the venues themselves; a rule reads what an adapter gave."""
    files = (ROOT / "producers").rglob("*.py")
    code = [path for path in files if not path.relative_to(ROOT).as_posix().startswith(DECLARING)]
    return [*code, *(ROOT / "producers" / "exchanges").rglob("rules.py")]


@cache
def read_in(path: Path) -> frozenset[str]:
    """Attributes that a file reads."""
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    return frozenset(node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load))


READ = set().union(*map(read_in, reading_files()))


def fields_of(kind: type) -> tuple[str, ...]:
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    return tuple(getattr(kind, "_fields", ()))


DECLARED = [
    (kind.__name__, name)
    for module in (contract, messages)
    for kind in vars(module).values()
    if inspect.isclass(kind) and kind.__module__ == module.__name__
    for name in fields_of(kind)
]


@pytest.mark.parametrize(("kind", "name"), DECLARED, ids=lambda value: str(value))
def test_every_field_of_a_contract_is_read_outside_its_module(kind: str, name: str) -> None:
    assert name in READ, f"nobody reads {kind}.{name}"


def test_every_member_of_a_venue_is_used_outside_the_venues() -> None:
    members = {name for each in (FrameReader, Exchange) for name in vars(each) if not name.startswith("_")}
    assert {"parse", "limits"} < members
    assert members - READ == set()


def test_the_search_finds_what_there_is() -> None:
    assert ("Keepalive", "every_s") in DECLARED
    assert ("DepthSnapshot", "origin") in DECLARED
    assert len(DECLARED) > 50
    assert "no_such_field" not in READ


OTHERS = (
    (Column, ("sinks/contract.py",)),
    (Table, ("sinks/tables/",)),
    (Stream, ("sinks/contract.py",)),
    (Topic, ("schemas/topics.py",)),
    (Factor, ("schemas/factors.py",)),
)
"""The other contracts, and where each is declared and filled in. What one says for the suites is read by them, such as
a topic's writers or a factor's range."""


def read_outside(declaring: tuple[str, ...]) -> set[str]:
    """Attributes that are read anywhere else."""
    roots = ("schemas", "orderbook", "obflow", "producers", "processors", "sinks", "research", "embedded", "tests")
    files = [path for root in roots for path in (ROOT / root).rglob("*.py")]
    others = [path for path in files if not path.relative_to(ROOT).as_posix().startswith(declaring)]
    return set().union(*map(read_in, others))


@pytest.mark.parametrize(("kind", "declaring"), OTHERS, ids=lambda value: getattr(value, "__name__", ""))
def test_every_field_of_the_other_contracts_is_read_outside_too(kind: type, declaring: tuple[str, ...]) -> None:
    names = {name for name in getattr(kind, "_fields", ()) or kind.__annotations__ if not name.startswith("_")}
    assert len(names) > 2
    assert names - read_outside(declaring) == set()
