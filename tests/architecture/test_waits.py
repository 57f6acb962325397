"""No wait of a test ends after a bare number of seconds: it grows with the load of the machine (`patient`)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
ENDED_BY = {"timeout": 0, "wait_for": 1, "wait": 0}
"""Methods that end after so many seconds, and which of their arguments says it."""
SHORTEST_S = 2
"""Less is a pace, no deadline."""


def bare_waits(source: str) -> Iterator[int]:
    """Find the lines where a wait is ended by a number, in place of one made of it."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ENDED_BY):
            continue
        if ast.unparse(node.func).startswith("pytest.mark"):  # ends what hangs
            continue
        given = node.args[ENDED_BY[node.func.attr] :]
        seconds = given[0].value if given and isinstance(given[0], ast.Constant) else None
        if isinstance(seconds, int | float) and seconds >= SHORTEST_S:
            yield node.lineno


def test_every_wait_of_a_test_grows_with_the_load() -> None:
    found = [
        f"{path.relative_to(TESTS)}:{line}"
        for path in sorted(TESTS.rglob("*.py"))
        if path != Path(__file__)
        for line in bare_waits(path.read_text("utf-8"))
    ]

    assert not found, "wrap the seconds in tests.support.patience.patient"


def test_a_bare_wait_is_found() -> None:
    assert list(bare_waits("async with asyncio.timeout(5):\n    await asyncio.wait_for(it, 20)\n")) == [1, 2]
    assert not list(bare_waits("asyncio.timeout(patient(5))\nstop.wait()\nprocess.wait(timeout=patient(5))\n"))
