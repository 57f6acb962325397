"""ARCHITECTURE.md names the files of each folder: all there are, and none that is gone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from processors.factors.reference import COMPUTE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
ROLES = ("producers", "processors", "sinks", "research")
WITH_ROOMS = ("producers", "processors")
FAMILIES = frozenset(compute.__module__.rpartition(".")[2] for compute in COMPUTE.values())
ALIKE = {"processors/factors/reference": FAMILIES, "processors/factors/kernel": FAMILIES}
"""What a page may call a file a family: these folders have a file for each of the families of factors."""
WORD = re.compile(r"[a-z]\w*")
BACKQUOTED = re.compile(r"`([a-z]\w*)/?`")


def rows_of(role: str) -> dict[str, str]:
    """What the table of a role's rooms says of each folder."""
    table = PAGE.split(f"The {role}' rooms:\n\n", 1)[1].split("\n\n", 1)[0]
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()[2:]]
    return {f"{role}/{room}": what for rooms, what, _ in cells for room in re.findall(r"`([\w/]+)/`", rooms)}


ROOMS = {room: what for role in WITH_ROOMS for room, what in rows_of(role).items()}
LISTED = sorted(room for room in ROOMS if room != "producers/exchanges")
"""A family of venues is a folder of its own, and each of them is not spelled out."""


def files_in(folder: str) -> set[str]:
    """Modules and packages of a folder, by name."""
    where = ROOT / folder
    modules = {path.stem for path in where.glob("*.py")} - {"__init__", "__main__"}
    return modules | {path.parent.name for path in where.glob("*/__init__.py")}


@pytest.mark.parametrize("role", ROLES)
def test_the_house_names_every_file_and_folder_of_a_role(role: str) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{role}/` |")]
    assert files_in(role) - set(WORD.findall(row)) == set()


@pytest.mark.parametrize("role", WITH_ROOMS)
def test_every_folder_of_a_role_is_a_room(role: str) -> None:
    folders = {f"{role}/{path.parent.name}" for path in (ROOT / role).glob("*/__init__.py")}
    assert folders - set(ROOMS) == set()


@pytest.mark.parametrize("room", LISTED)
def test_a_room_names_every_file_that_it_has(room: str) -> None:
    named = set(BACKQUOTED.findall(ROOMS[room]))
    assert files_in(room) - named - ALIKE.get(room, frozenset()) == set()


@pytest.mark.parametrize("room", LISTED)
def test_a_room_names_no_file_that_it_does_not_have(room: str) -> None:
    assert set(BACKQUOTED.findall(ROOMS[room])) - files_in(room) == set()
