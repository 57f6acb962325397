"""The committed SQL: numbered migrations, and views in the order in which they read each other."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from importlib import resources
from typing import Final, Literal, NamedTuple

from schemas.errors import SchemaMismatch

MIGRATION_NAME: Final = re.compile(r"\d{4}_[a-z0-9_]+")
WHOLE_TABLE: Final = re.compile(r"\bSELECT (?:\w+\.)?\*")


class Script(NamedTuple):
    """A committed SQL file.

    Attributes:
        kind: `migration` or `view`.
        name: Its name without the ending; a view's is the view's.
        text: Its statements.
        shape: What else its meaning hangs on: of a view of whole tables, every migration, since the database keeps the
            columns that a table had when the view was made.
    """

    kind: Literal["migration", "view"]
    name: str
    text: str
    shape: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of the text, and of the shape, hexadecimal."""
        return hashlib.sha256((self.text + self.shape).encode()).hexdigest()

    @property
    def statements(self) -> list[str]:
        """Its statements, each without the closing semicolon."""
        return [part.strip() for part in re.split(r";\s*(?:\n|$)", self.text) if part.strip()]


def migrations() -> tuple[Script, ...]:
    """The committed migrations, in order.

    Raises:
        SchemaMismatch: A file is misnamed, or a number is missing or taken twice.
    """
    found = tuple(_scripts("migration", "migrations"))
    for number, script in enumerate(found, start=1):
        if not MIGRATION_NAME.fullmatch(script.name) or int(script.name[:4]) != number:
            raise SchemaMismatch(
                f"migration {script.name} should be number {number:04d}, as in {number:04d}_what_it_does"
            )
    return found


def ordered_views(behind: Iterable[Script]) -> tuple[Script, ...]:
    """The committed views, each behind those that it reads, else by name.

    Args:
        behind: The migrations that the tables are made by.
    """
    shape = "".join(script.digest for script in behind)
    by_name = {
        script.name: script._replace(shape=shape) if WHOLE_TABLE.search(script.text) else script
        for script in _scripts("view", "views")
    }
    reads = {name: _views_read(script, by_name.keys()) for name, script in by_name.items()}
    return tuple(by_name[name] for name in TopologicalSorter(reads).static_order())


def _views_read(script: Script, names: Iterable[str]) -> list[str]:
    words = set(re.findall(r"\b(?:FROM|JOIN)\s+(\w+)", script.text))
    return [name for name in names if name in words and name != script.name]


def _scripts(kind: Literal["migration", "view"], folder: str) -> Iterator[Script]:
    files = [entry for entry in (resources.files("sinks") / folder).iterdir() if entry.name.endswith(".sql")]
    for entry in sorted(files, key=lambda entry: entry.name):
        yield Script(kind, entry.name.removesuffix(".sql"), entry.read_text(encoding="utf-8"))
