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
