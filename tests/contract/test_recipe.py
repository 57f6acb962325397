"""CONTRIBUTING's recipe for a factor, done in a copy of the tree: it changes what it says, and the suites accept it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.test_repository import ROOT, committed

pytestmark = [pytest.mark.integration, pytest.mark.slow]

FAMILY = "processors/factors/reference/quotes.py"
FUNCTION = '''

def best_size(view: BookView) -> float | None:
    """B_1 + A_1, base units; null where a side is empty."""
    bid, ask = best_bid_size(view), best_ask_size(view)
    return None if bid is None or ask is None else bid + ask
'''
BRUTE_FORCE = """
        if bids.prices and asks.prices:
            values |= {"best_size": bids.sizes[0] + asks.sizes[0]}
"""
BY_HAND = {
    FAMILY: (re.compile(r"\Z"), FUNCTION),
    "processors/factors/reference/__init__.py": (
        re.compile(r'(?<=    "ask_levels": quotes.ask_levels,\n)'),
        '    "best_size": quotes.best_size,\n',
    ),
    "schemas/factors.py": (
        re.compile(r"(?<=\n)(?=\)\n\nFACTOR_NAMES)"),
        '    Factor("best_size", "base", 0.0, None, "size at the best bid and ask, the venue\'s own"),\n',
    ),
    "tests/processors/brute_force.py": (
        re.compile(r"(?=        return values\n\n    def _imbalances)"),
        BRUTE_FORCE[1:],
    ),
}

BRUTE_FORCES = [
    "tests/processors/factors/test_brute_force.py::test_the_generated_streams_leave_nothing_out",
    *(
        f"tests/processors/factors/test_brute_force.py::test_a_generated_stream_has_the_events_of_the_brute_force[{seed}]"
        for seed in range(6)
    ),
]
"""A few of its streams: a factor that one of them has wrong is wrong; the tree's own factors are compared on all."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the committed tree, committed again, with the steps by hand done and `make factor` run."""
    copy = tmp_path_factory.mktemp("tree")
    for path in committed():
        (copy / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy / path.relative_to(ROOT))
    run(copy, "git", "init", "--quiet")
    run(copy, "git", "add", "--all")
    run(copy, "git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "--quiet", "-m", "As it is")
    for name, (where, text) in BY_HAND.items():
        before = (copy / name).read_text("utf-8")
        after = where.sub(lambda _, text=text: text, before, count=1)
        assert after != before, f"{name} has no place for the factor"
        (copy / name).write_text(after, "utf-8")
    make_factor(copy)
    return copy


def make_factor(folder: Path) -> str:
    """What `make factor` runs, without the target that sets up."""
    recipe = (folder / "Makefile").read_text("utf-8").split("\nfactor: ", 1)[1].split("\n\n", 1)[0]
    modules = re.findall(r"python -m (\S+)", recipe)
    return "".join(run(folder, sys.executable, "-m", module) for module in modules)


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def changed(folder: Path) -> set[str]:
    """Files changed or new."""
    return {line[3:] for line in run(folder, "git", "status", "--porcelain", "--untracked-files=all").splitlines()}


def named_by_the_recipe() -> list[str]:
    """The paths in backquotes of the recipe, a folder or `vN` standing for what is in it."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    recipe = text[text.index("**A factor.**") :].split("\n\n", 1)[0]
    return [path for path in re.findall(r"`([^`\s]+)`", recipe) if "/" in path]


def test_a_factor_changes_the_files_the_recipe_names_and_no_other(tree: Path) -> None:
    patterns = {path: re.compile(re.escape(path).replace("vN", r"v\d+") + ".*") for path in named_by_the_recipe()}
    files = changed(tree)

    assert files == {file for file in files if any(pattern.fullmatch(file) for pattern in patterns.values())}
    assert [path for path, pattern in patterns.items() if not any(map(pattern.fullmatch, files))] == []


@pytest.mark.exhaustive
def test_the_suites_accept_a_factor_made_by_the_recipe(tree: Path) -> None:
    suites = [
        *("tests/contract/test_factors.py", "tests/contract/test_tables.py", "tests/schemas"),
        *(*BRUTE_FORCES, "tests/sinks/test_tables.py"),
    ]
    said = run(
        tree, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", "-k", "factors", *suites
    )

    assert re.search(r"\d+ passed", said)


def test_writing_the_files_twice_writes_nothing_the_second_time(tree: Path) -> None:
    before, page = changed(tree), (tree / "docs/factors.md").read_text("utf-8")

    assert "nothing to write" in make_factor(tree)
    assert changed(tree) == before
    assert (tree / "docs/factors.md").read_text("utf-8") == page
