"""What is committed speaks of the project alone: no machine, no registry, no unpinned dependency, no loose end."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
BINARY = {".gz", ".png", ".parquet"}

MACHINE_PATH = re.compile(r"(?<![\w.~$}])/(work|root|home|Users|tmp)/\w")
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|maven\.apache\.org/maven2|repo1\.maven|maven\.org|registry\.npmjs|crates\.io"
    r"|proxy\.golang|deb\.debian|(?<!--no-emit-)index-url|find-links|trusted-host"
)
# What no committed file may hold; this file apart, which has to spell it out to find it.
LOOSE_END = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|\braise NotImplementedError\b")
PIN = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\]+?))?(?= \\\n)")
HASHES = re.compile(r"(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n")


def committed() -> list[Path]:
    """Every file that is tracked or about to be: what git does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        # Unpacked from an archive, without git: the folder may hold anything beside the project's own files.
        pytest.skip(f"not a git checkout ({listed.stderr.strip()}): nothing tells what is committed")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def occurrences(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    """Where a pattern occurs, as `path:line: text`; this file, which spells the patterns out, apart."""
    found = []
    for path in paths:
        if path.suffix in BINARY or path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    return found


def pins(lock: Path) -> list[tuple[str, str, str]]:
    """Name, version and marker of every requirement of a lock; fails where a line is anything else."""
    text = "".join(line for line in lock.read_text("utf-8").splitlines(keepends=True) if not line.startswith("#"))
    found, at = [], 0
    while at < len(text):
        pin = PIN.match(text, at)
        assert pin, f"{lock.name}: not a pinned requirement: {text[at : at + 80]!r}"
        hashes = HASHES.match(text, pin.end())
        assert hashes, f"{lock.name}: {pin['name']} has no SHA-256"
        found.append((pin["name"], pin["version"], pin["marker"] or ""))
        at = hashes.end()
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_no_committed_file_names_a_path_of_some_machine() -> None:
    assert occurrences(MACHINE_PATH, committed()) == []


def test_no_committed_file_names_a_package_registry() -> None:
    assert occurrences(REGISTRY, committed()) == []


def test_no_loose_end_is_committed() -> None:
    assert occurrences(LOOSE_END, [path for path in committed() if path.suffix in {".py", ".sql", ".sh"}]) == []


def test_no_committed_file_is_large() -> None:
    assert [path.name for path in committed() if path.stat().st_size > 2_000_000] == []


def test_every_folder_of_tests_is_a_package() -> None:
    """Without `tests/__init__.py` and those below it, `tests/producers` would shadow `producers`."""
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}
    parents = {parent for folder in folders for parent in (folder, *folder.parents) if ROOT in parent.parents}
    assert [str(folder) for folder in sorted(parents) if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_requirement_of_a_lock_is_pinned_with_hashes_and_names_no_host(lock: Path) -> None:
    assert pins(lock)
    assert "://" not in lock.read_text("utf-8")


@pytest.mark.parametrize("name", ["runtime.txt", "build.txt"])
def test_what_the_image_installs_is_what_the_tests_ran_on(name: str) -> None:
    smaller, dev = (pins(ROOT / "requirements" / lock) for lock in (name, "dev.txt"))
    tested = {(package, version) for package, version, _ in dev}
    assert {(package, version) for package, version, _ in smaller} - tested == set()


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_locks_satisfy_what_the_project_declares(python: str) -> None:
    """A changed dependency without `make lock` fails here, not on somebody's machine."""
    project = PROJECT["project"]
    declared = {
        "runtime.txt": project["dependencies"],
        "dev.txt": [
            *project["dependencies"],
            *project["optional-dependencies"]["embedded"],
            *PROJECT["dependency-groups"]["dev"],
        ],
    }
    environment = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    for name, requirements in declared.items():
        locked = {
            pin: version
            for pin, version, marker in pins(ROOT / "requirements" / name)
            if not marker or Marker(marker).evaluate(environment)
        }
        for requirement in map(Requirement, requirements):
            version = locked.get(normal(requirement.name))
            assert version, f"{name} lacks {requirement}: run `make lock`"
            assert requirement.specifier.contains(version), f"{name} pins {version} for {requirement}: run `make lock`"


def test_every_target_of_the_makefile_is_explained() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert set(phony.split()) == set(re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE))


def test_the_root_holds_what_is_named_here_and_nothing_that_was_left_behind() -> None:
    known = {"ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md"}
    known |= {"docker-compose.yml", "pyproject.toml"}

    files = {path.name for path in committed() if path.parent == ROOT and not path.name.startswith(".")}

    assert files == known
