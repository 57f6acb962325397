"""What runs on this machine, asked of /proc where there is one (a minimal Linux has no `ps`), else of `ps`."""

from __future__ import annotations

import subprocess
from pathlib import Path

PROC = Path("/proc")


def alive(pid: int) -> bool:
    """Whether the process runs. A zombie has ended: it only waits for whoever inherits it to take note."""
    return any(process == pid for process, _ in _running())


def group(leader: int) -> list[int]:
    """Every running process of a group."""
    return [process for process, its_leader in _running() if its_leader == leader]


def _running() -> list[tuple[int, int]]:
    """Process and group of everything that runs."""
    rows = _from_proc() if (PROC / "self" / "stat").exists() else _from_ps()
    return [(int(pid), int(leader)) for pid, leader, state in rows if not state.startswith("Z")]


def _from_proc() -> list[tuple[str, str, str]]:
    rows = []
    for path in PROC.glob("[0-9]*/stat"):
        try:
            _, _, after_name = path.read_text("utf-8", "replace").rpartition(")")
        except OSError:  # ended meanwhile
            continue
        state, _, leader, *_ = after_name.split()
        rows.append((path.parent.name, leader, state))
    return rows


def _from_ps() -> list[tuple[str, str, str]]:
    listed = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
    return [(pid, leader, state) for pid, leader, state in (line.split() for line in listed.splitlines())]
