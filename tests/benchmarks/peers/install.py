"""Fetches the peer into obflow's cache, in the versions of `package-lock.json`; `make bench-peers` alone runs it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from obflow.settings import Settings
from obflow.terminal import tell, tell_error
from schemas.errors import EXIT_DONE, DependencyError

HERE: Final = Path(__file__).parent
MANIFESTS: Final = ("package.json", "package-lock.json")
PROGRAMS: Final = ("node", "npm")
NPM_CI: Final = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")


def folder_of(cache: Path) -> Path:
    """Folder that has the peer's `node_modules` once it is fetched: one for each version of the lock.

    Args:
        cache: Folder of obflow's cache.
    """
    whole = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in MANIFESTS))
    return cache / "peers" / whole.hexdigest()[:16]


def is_ready(cache: Path) -> bool:
    """Whether the peer can be run: it was fetched whole, and there is a Node to run it."""
    return folder_of(cache).is_dir() and not missing(PROGRAMS[:1])


def missing(programs: Sequence[str]) -> list[str]:
    """Those of some programs that are not on the PATH."""
    return [name for name in programs if shutil.which(name) is None]


def fetch(cache: Path) -> Path:
    """Have npm fetch the peer where it is not there yet, and give its folder. No script of a package is run.

    Args:
        cache: Folder of obflow's cache.

    Raises:
        DependencyError: Node or npm is missing, or npm could not fetch it.
    """
    absent = missing(PROGRAMS)
    if absent:
        raise DependencyError(
            f"make bench-peers needs Node.js with npm, and {' and '.join(absent)} cannot be found on the PATH",
            next_step="install Node.js, then repeat this command",
        )
    folder = folder_of(cache)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as made:
            _npm_ci(Path(made) / "peer").rename(folder)
    return folder


def _npm_ci(folder: Path) -> Path:
    """Fetch into a new folder, which takes its place only when it is whole."""
    folder.mkdir()
    for name in MANIFESTS:
        shutil.copy(HERE / name, folder)
    done = subprocess.run(NPM_CI, cwd=folder, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise DependencyError(
            f"npm ended with {done.returncode} and did not fetch tardis-node; what it said stands above",
            next_step="see that its registry can be reached (`npm ping`), then repeat this command",
        )
    return folder


def main() -> int:
    """Fetch it, and say where it is."""
    try:
        tell(f"tardis-node: {fetch(Settings.load().cache)}")
    except DependencyError as error:
        tell_error(error)
        return error.exit_code
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
