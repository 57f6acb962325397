"""Clients of the broker are made in one place: one partitioner, deadlines and bounds for all of them.

The workers' own are made by Faust, which only processors import (`pyproject.toml`); nobody makes one beside it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("obflow", "schemas", "orderbook", "producers", "processors", "sinks", "research", "embedded")
HOME = ROOT / "obflow" / "kafka.py"
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")) if path != HOME]
LIBRARY, OF_THE_WORKERS = "confluent_kafka", "aiokafka"
ERRORS = "aiokafka.errors"
CLIENTS = ("Producer", "Consumer", "AdminClient")
MODULES = ("*", "admin", "aio", "cimpl")


def clients_within_reach(source: str) -> list[str]:
    """What a module imports at run time with which it could make a client: a client's class, or the library whole."""
    found = []
    for node in _at_run_time(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            library, names = (node.module or "").split(".")[0], [alias.name for alias in node.names]
            if library == LIBRARY:
                found += [name for name in names if name in MODULES or name.endswith(CLIENTS)]
            elif library == OF_THE_WORKERS and node.module != ERRORS:
                found += names
        elif isinstance(node, ast.Import):
            found += [one.name for one in node.names if one.name.split(".")[0] in (LIBRARY, OF_THE_WORKERS)]
    return found


def _at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            yield from (inner for other in child.orelse for inner in [other, *_at_run_time(other)])
            continue
        yield child
        yield from _at_run_time(child)


def test_nobody_else_can_make_a_client_of_the_broker() -> None:
    found = {str(path): clients_within_reach(path.read_text("utf-8")) for path in FILES}
    assert {path: clients for path, clients in found.items() if clients} == {}


def test_the_home_makes_them() -> None:
    assert set(clients_within_reach(HOME.read_text("utf-8"))) >= set(CLIENTS)


@pytest.mark.parametrize(
    "line",
    [
        "from confluent_kafka import Producer",
        "from confluent_kafka.admin import AdminClient",
        "from confluent_kafka import SerializingProducer as P",
        "import confluent_kafka",
        "import confluent_kafka.admin as admin",
        "from confluent_kafka import admin",
        "from confluent_kafka import *",
        "from aiokafka import AIOKafkaConsumer",
        "import aiokafka.client",
        "def f():\n    from confluent_kafka import Consumer",
        "if TYPE_CHECKING:\n    pass\nelse:\n    from confluent_kafka import Consumer",
    ],
)
def test_the_check_sees_a_planted_import(line: str) -> None:
    assert clients_within_reach(line) != []


def test_types_and_errors_are_for_everybody() -> None:
    text = (
        "from confluent_kafka import KafkaError, Message\nif TYPE_CHECKING:\n    from confluent_kafka import Consumer"
    )
    assert clients_within_reach(text) == []
