"""What is shipped: our packages and nothing else, with every file they read at run time, and no name taken twice."""

from __future__ import annotations

import os
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from hatchling.build import build_wheel

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PACKAGES = set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Every path in the wheel that this tree builds."""
    folder = tmp_path_factory.mktemp("wheel")
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        name = build_wheel(str(folder))
    finally:
        os.chdir(before)
    with zipfile.ZipFile(folder / name) as wheel:
        return wheel.namelist()


def test_the_wheels_top_level_names_are_exactly_our_packages(shipped: list[str]) -> None:
    names = {path.split("/")[0] for path in shipped}
    assert {name for name in names if not name.endswith(".dist-info")} == PACKAGES
    assert len(names) == len(PACKAGES) + 1


def test_the_wheel_holds_every_file_of_the_packages(shipped: list[str]) -> None:
    ours = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours - set(shipped) == set()
    assert {Path(path).suffix for path in ours} >= {".py", ".avsc", ".sql", ".json", ".typed"}


def test_every_package_says_that_it_is_typed(shipped: list[str]) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(shipped)


def test_every_folder_with_python_in_it_is_a_package() -> None:
    orphans = [
        str(path.parent.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if not (path.parent / "__init__.py").exists()
    ]
    assert orphans == []


def test_no_installed_distribution_claims_one_of_our_names() -> None:
    """An editable install lists no names of its own, so whoever is listed must be obflow itself."""
    owners = packages_distributions()
    assert {name: owners[name] for name in PACKAGES if owners.get(name, ["obflow"]) != ["obflow"]} == {}


def test_types_and_import_contracts_cover_every_package() -> None:
    assert set(PROJECT["tool"]["mypy"]["packages"]) == PACKAGES
    assert set(PROJECT["tool"]["importlinter"]["root_packages"]) == PACKAGES


def test_every_command_of_the_project_is_brought_by_one_of_our_packages() -> None:
    groups = PROJECT["project"]["entry-points"]
    targets = [target for group in groups.values() for target in group.values()]
    assert {target.split(".")[0].split(":")[0] for target in targets} <= PACKAGES
