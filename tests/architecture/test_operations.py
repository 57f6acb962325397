"""What the pages for operators name exists: commands with their options, settings, files."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from obflow.cli import command_entries, load_command
from obflow.settings import reference

ROOT = Path(__file__).parents[2]
OPERATIONS = ROOT / "docs" / "operations"
PAGES = sorted(OPERATIONS.glob("*.md"))
KEYS = {entry.key for entry in reference()}
SECTIONS = {key.partition(".")[0] for key in KEYS}
COMMAND = re.compile(r"""(?:^|`|exec \w+ |run --rm \w+ )(obflow (?:"[^"]*"|[^`#\n|>"])+)""", re.M)
COMMANDS = sorted({found.strip() for page in PAGES for found in COMMAND.findall(page.read_text("utf-8"))})


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_these_pages_is_one_that_obflow_takes(line: str) -> None:
    _, name, *words = shlex.split(line)
    assert name in command_entries()
    command = load_command(command_entries()[name])
    with command.make_context(name, words) as context:
        inner = getattr(command, "commands", {})
        if inner:
            rest = [*context._protected_args, *context.args]
            with inner[rest[0]].make_context(rest[0], rest[1:], parent=context):
                pass


def test_there_are_commands_to_be_checked() -> None:
    assert len(COMMANDS) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_setting_that_is_named_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    named = {
        f"{section}.{name}"
        for section, name in re.findall(r"`([a-z]+)\.(?!ya?ml|md)([a-z_]+)`", text)
        if section in SECTIONS
    }
    assert named - KEYS == set()
    variables = set(re.findall(r"\bOBFLOW_[A-Z]+__[A-Z_]+\b", text))
    assert variables - {entry.env for entry in reference()} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_file_that_is_named_exists(page: Path) -> None:
    named = set(
        re.findall(
            r"\b(?:docs|deploy|obflow|sinks|schemas)/[\w./-]+\.(?:md|yml|yaml|py|xml|json)\b", page.read_text("utf-8")
        )
    )
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_the_list_of_these_pages_names_each_of_them() -> None:
    listed = set(re.findall(r"\]\((\w+\.md)\)", (OPERATIONS / "README.md").read_text("utf-8")))
    assert listed == {page.name for page in PAGES} - {"README.md"}


def test_a_copy_has_every_table_and_all_of_it_is_put_back() -> None:
    """All but what sinks have claimed, which those that run say anew."""
    statements = "".join(path.read_text("utf-8") for path in (ROOT / "sinks" / "migrations").glob("*.sql"))
    tables = set(re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", statements)) - {"sink_claims"}
    loops = re.findall(r"^for table in ([^;]+); do$", (OPERATIONS / "backup.md").read_text("utf-8"), re.M)

    assert [set(loop.replace("\\\n", " ").split()) for loop in loops] == [tables, tables]
