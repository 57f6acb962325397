"""What a venue's frames consist of, and what of it has changed: noticed before it breaks anything.

A venue adds fields without notice, takes some away, and lets others be zero for ever (a checksum, since 2026-06-23).
None of that has to be an error of a frame, and each may mean that something is read wrongly from then on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

LOOKED_AT: Final = 3
"""Elements of a list of objects: the others are like these."""
MOST_TOLD: Final = 50
"""Names that somebody else chooses, of one venue; beyond that they are one."""
MANY: Final = "(others)"
LONGEST: Final = 80
"""Characters of a name."""
DEEPEST: Final = 6
"""Parts within parts that are gone into."""
ZEROS: Final = 300
"""Frames of a kind in which a number that always moves was zero, and nothing else, before that is told."""


class KindShape(NamedTuple):
    """The fields of one kind of frame: names, separated by spaces.

    Attributes:
        within: Path of the part that they stand in, such as `data[]` where that is a list; empty for the whole frame.
        always: In every frame.
        sometimes: In some.
        moving: Of these, numbers that are read and that cannot all be zero.
        beside: Paths outside of that part, in some.
    """

    within: str
    always: str
    sometimes: str = ""
    moving: str = ""
    beside: str = ""


class FrameShapes(NamedTuple):
    """The kinds of a venue's data frames.

    Attributes:
        named_by: Path of the text that tells the kind.
        separator: What divides that text.
        part: Which part of it is the kind.
        answer: A field that marks an answer to what was asked, which is no data.
        envelope: Paths in every frame, separated by spaces.
        kinds: By kind; a frame of any other is passed over: the adapter judges it.
    """

    named_by: str
    separator: str
    part: int
    answer: str
    envelope: str
    kinds: Mapping[str, KindShape]


class Change(StrEnum):
    """What was noticed of a field."""

    NEW = "new"
    MISSING = "missing"
    ZERO = "zero"


class Noticed(NamedTuple):
    """A field of a kind of frame that is not as it was, told for the first time."""

    kind: str
    field: str
    change: Change


class _Paths(NamedTuple):
    always: frozenset[str]
    known: frozenset[str]
    inner: frozenset[str]
    moving: frozenset[str]


class ShapeSentinel:
    """Compares frames with what is known of them.

    Args:
        shapes: What is known.

    Attributes:
        counts: Frames by kind, field and change, of those that were looked at.
    """

    def __init__(self, shapes: FrameShapes) -> None:
        self.counts: Counter[Noticed] = Counter()
        self._shapes = shapes
        self._paths = {kind: _paths_of(shape, shapes.envelope.split()) for kind, shape in shapes.kinds.items()}
        self._zeros: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._moved: set[tuple[str, str]] = set()

    def look(self, raw: bytes) -> list[Noticed]:
        """Compare a frame; give what is told for the first time. One that is not JSON is the adapter's to refuse."""
        try:
            body = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return []
        kind = self.kind_of(body)
        if (paths := self._paths.get(kind)) is None:
            return []
        values = dict(leaves(body))
        found = [*_changed(paths, values), *self._still(kind, paths, values)]
        return [noticed for field, change in found if (noticed := self._first(kind, field, change))]

    def kind_of(self, body: object) -> str:
        """Tell the kind of a frame; empty where it is no data."""
        if isinstance(body, dict) and self._shapes.answer in body:
            return ""
        for name in self._shapes.named_by.split("."):
            body = body.get(name) if isinstance(body, dict) else None
        parts = body.split(self._shapes.separator) if isinstance(body, str) else []
        return parts[self._shapes.part] if self._shapes.part < len(parts) else ""

    def _still(self, kind: str, paths: _Paths, values: Mapping[str, Any]) -> Iterator[tuple[str, Change]]:
        for field in paths.moving & values.keys():
            place = kind, field
            if place in self._moved:
                continue
            if not _is_zero(values[field]):
                self._moved.add(place)
                continue
            self._zeros[place] += 1
            if self._zeros[place] >= ZEROS:
                yield field, Change.ZERO

    def _first(self, kind: str, field: str, change: Change) -> Noticed | None:
        noticed = Noticed(kind, field[:LONGEST], change)
        if noticed not in self.counts and len(self.counts) >= MOST_TOLD:
            noticed = Noticed(MANY, MANY, change)
        self.counts[noticed] += 1
        return noticed if self.counts[noticed] == 1 else None


def leaves(body: object, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Give each field of a frame with its value: objects and lists of objects are gone into, other lists are values."""
    if isinstance(body, dict) and depth < DEEPEST:
        for name, value in body.items():
            yield from leaves(value, f"{path}.{name}" if path else name, depth + 1)
    elif isinstance(body, list) and body and isinstance(body[0], dict) and depth < DEEPEST:
        for value in islice(body, LOOKED_AT):
            yield from leaves(value, f"{path}[]", depth + 1)
    else:
        yield path, body


def _paths_of(shape: KindShape, envelope: list[str]) -> _Paths:
    def within(names: str) -> frozenset[str]:
        return frozenset(f"{shape.within}.{name}".lstrip(".") for name in names.split())

    always, moving = within(shape.always).union(envelope), within(shape.moving)
    known = always | within(shape.sometimes) | frozenset(shape.beside.split())
    inner = {path[:index] for path in known for index, sign in enumerate(path) if sign in ".["}
    return _Paths(always, known, frozenset(inner), moving)


def _changed(paths: _Paths, values: Mapping[str, Any]) -> Iterator[tuple[str, Change]]:
    """Give what is new and what is missing; where a whole part is empty, or is filled, its fields are told by it."""
    for field in values.keys() - paths.known:
        if field not in paths.inner:
            yield field, Change.NEW
    for field in paths.always - values.keys():
        if not any(_holds(part, field) or _holds(field, part) for part in values):
            yield field, Change.MISSING


def _holds(part: str, field: str) -> bool:
    return field.startswith((f"{part}.", f"{part}["))


def _is_zero(value: object) -> bool:
    try:
        return float(value) == 0  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False
