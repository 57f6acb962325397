"""Every command there is: it loads, and says what it does and how it is called."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points

import pytest
from typer.core import TyperGroup

from obflow import cli
from obflow.doctor import AUDIT_GROUP, CHECK_GROUP

ENTRIES = cli.command_entries()


def leaves(name: str) -> Iterator[tuple[str, str]]:
    """Every command below an entry, with its help."""
    command = cli.load_command(ENTRIES[name])
    if isinstance(command, TyperGroup):
        for inner, leaf in command.commands.items():
            yield f"{name} {inner}", leaf.help or ""
    else:
        yield name, command.help or ""


@pytest.mark.parametrize("name", ENTRIES)
def test_every_command_loads_and_the_listing_says_what_its_help_says(name: str) -> None:
    command = cli.load_command(ENTRIES[name])
    line = cli.summary(ENTRIES[name])
    assert line.endswith((".", "…"))
    assert (command.help or "").startswith(line)


@pytest.mark.parametrize("name", ENTRIES)
def test_every_commands_help_has_an_example_of_its_own_call(name: str) -> None:
    for words, text in leaves(name):
        assert "Example:" in text, f"obflow {words} --help has no example"
        assert f"obflow {words}" in text.partition("Example:")[2]


@pytest.mark.parametrize("group", [CHECK_GROUP, AUDIT_GROUP])
def test_every_check_and_audit_loads(group: str) -> None:
    entries = list(entry_points(group=group))
    assert entries
    assert all(callable(entry.load()) for entry in entries)


def test_the_installed_program_answers() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from obflow.cli import main; sys.exit(main())", "settings", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('{"cache":')
