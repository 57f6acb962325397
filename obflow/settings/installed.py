"""The sections of whatever is installed, found by entry point: the runtime knows no role, and a role no other."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from pydantic import ValidationError

from obflow.settings.sections import Section
from schemas.errors import DependencyError

SETTINGS_GROUP: Final = "obflow.settings"
NAME = re.compile(r"[a-z][a-z0-9]*")


def installed_sections() -> dict[str, type[Section]]:
    """Import the section classes of every distribution, by name, in the order they are listed in.

    Raises:
        DependencyError: One cannot be imported, is no section, or has a name that is no name or is taken.
    """
    found: dict[str, type[Section]] = {}
    for entry in entry_points(group=SETTINGS_GROUP):
        if not NAME.fullmatch(entry.name):
            raise DependencyError(f"the settings section {entry.name!r} ({entry.value}) has no name of a-z and 0-9")
        section = _load(entry)
        if found.setdefault(entry.name, section) is not section:
            raise DependencyError(f"the settings section {entry.name} is declared twice, once by {entry.value}")
    return dict(sorted(found.items(), key=lambda item: (item[1].POSITION, item[0])))


def _load(entry: EntryPoint) -> type[Section]:
    try:
        section = entry.load()
    except (ImportError, AttributeError) as error:
        raise DependencyError(
            f"the settings section {entry.name} cannot be loaded ({error})",
            next_step="`make setup` installs what is missing",
        ) from error
    if not (isinstance(section, type) and issubclass(section, Section)):
        raise DependencyError(f"the settings section {entry.name} is not a Section ({entry.value})")
    try:
        section()
    except ValidationError as error:
        fields = ", ".join(str(one["loc"][0]) for one in error.errors() if one["loc"])
        raise DependencyError(f"the settings section {entry.name} has no default for {fields}") from error
    return section
