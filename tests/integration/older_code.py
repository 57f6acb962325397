"""The code of an earlier commit, as something to start processes of beside those of today."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def older_code(commit: str, folder: Path) -> Path:
    """The code of a commit, unpacked into a folder; the test is left out where the history does not have it."""
    packed = subprocess.run(["git", "-C", str(ROOT), "archive", commit], capture_output=True, timeout=60)
    if packed.returncode:
        pytest.skip(f"needs the history: no commit {commit} here ({packed.stderr.decode().strip()})")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    _register(folder)
    return folder


def run_of(folder: Path) -> list[str]:
    """How `obflow` of that folder is started."""
    return [
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, {str(folder)!r}); from obflow.cli import main; sys.exit(main())",
    ]


def _register(folder: Path) -> None:
    """Write down, as an installer would, the names by which that version finds its own parts."""
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    name, version = project["name"], project["version"]
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = []
    for group, places in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{part} = {place}" for part, place in places.items())]
    (about / "entry_points.txt").write_text("\n".join(lines))
