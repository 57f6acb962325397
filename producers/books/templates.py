"""Templates of a venue's frames: learned from one that the readable path has read, they tell which others say alike.

A frame that is the same byte for byte, but for the levels and the numbers that the venue's `DeltaForm` names, says the
same but for these. So nothing here knows what the rest of a frame means, whose instrument it is, in which order its
fields stand, or what a venue may add to it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence, Set
from json import JSONDecoder
from typing import Final, NamedTuple

from producers.contract import DeltaForm
from producers.messages import DepthDelta
from schemas.units import NS_PER_MS

NUMBER: Final = 0
SIGNED: Final = 1
MOMENT: Final = 2
"""A number of ms, above 0."""
BIDS: Final = 3
ASKS: Final = 4
END: Final = 5
"""What a part is; the last one is the end."""
NONE: Final = -1
"""A number that there is not."""
MOST_PARTS: Final = 32
MOST_HEADS: Final = 20_000
"""Beginnings of frames that are remembered, one or two an instrument; beyond that all are learned anew."""
MOST_MARKS: Final = 4
LONGEST_HEAD: Final = 512
_VALUE: Final = JSONDecoder().raw_decode


class FrameTemplate(NamedTuple):
    """How the frames of one instrument look.

    Attributes:
        symbol: The instrument.
        head: How they begin, up to the key of the first number.
        text: All that is alike in them.
        parts: What stands between, in turns: how much of the text comes before it, and what it is.
        numbers: Which of the numbers is that of the update, that of its first change, which one is how much larger than
            the book's, which is its time and which its checksum; NONE where there is none.
    """

    symbol: str
    head: bytes
    text: bytes
    parts: tuple[int, ...]
    numbers: tuple[int, ...]


class FrameTemplates:
    """What was learned of the frames of a venue.

    Args:
        form: Where they say what.
    """

    def __init__(self, form: DeltaForm) -> None:
        self._form = form
        self._marks: tuple[bytes, ...] = ()
        self._by_head: dict[bytes, FrameTemplate] = {}

    def find(self, raw: bytes) -> FrameTemplate | None:
        """Find the template of a frame by how it begins."""
        for mark in self._marks:
            end = raw.find(mark, 0, LONGEST_HEAD)
            if end > 0 and (template := self._by_head.get(raw[:end])) is not None:
                return template
        return None

    def forget(self, template: FrameTemplate) -> None:
        """Forget a template that a frame was not like which begins like it."""
        self._by_head.pop(template.head, None)

    def learn(self, raw: bytes, delta: DepthDelta) -> None:
        """Learn how the frames of an instrument look from one that nothing is known of, and what it was read as."""
        if self.find(raw) is not None:
            return
        template = template_of(raw, delta, self._form)
        if template is None:
            return
        head = template.head
        mark = template.text[len(head) : template.parts[0]]
        if mark not in self._marks:
            self._marks = (*self._marks, mark)[-MOST_MARKS:]
        if len(self._by_head) >= MOST_HEADS:  # of instruments that have expired, mostly
            self._by_head.clear()
        if raw.find(mark, 0, LONGEST_HEAD) == len(head):
            self._by_head[head] = template


def template_of(raw: bytes, delta: DepthDelta, form: DeltaForm) -> FrameTemplate | None:
    """Make a template of a frame; None where it does not say plainly what was read of it."""
    numbers, levels = _numbers_of(form), {form.bids, form.asks}
    try:
        spans = dict(_spans(raw.decode("ascii"), numbers | levels))
        said = {place: int(raw[begin:end]) for place, (begin, end) in spans.items() if place in numbers}
    except (ValueError, IndexError, RecursionError):
        return None
    if not levels <= spans.keys():
        return None
    places = [next((place for place in some if place in said), "") for some in _of_the_update(form)]
    if not _says(said, places, delta):
        return None
    return _cut(raw, delta, spans, places, form)


def _of_the_update(form: DeltaForm) -> tuple[tuple[str, ...], ...]:
    """Places of an update's numbers: its own, its first change's, the one before it, its time, its checksum."""
    return form.last, form.first, form.previous, form.time, form.checksum


def _numbers_of(form: DeltaForm) -> frozenset[str]:
    """All places of numbers."""
    return frozenset(place for places in (*_of_the_update(form), form.besides) for place in places)


def _says(said: Mapping[str, int], places: Sequence[str], delta: DepthDelta) -> bool:
    """Say whether these numbers are those that were read."""
    last, first, previous, time, checksum = (said.get(place) for place in places)
    if last != delta.last_sequence or time is None or time * NS_PER_MS != delta.exchange_ns:
        return False
    if previous is not None or first is not None:
        is_placed = previous == delta.previous_sequence and first in (None, delta.first_sequence)
    else:  # numbers are consecutive, or there are none
        is_placed = delta.previous_sequence in (None, last - 1)
    return is_placed and (checksum or None) == delta.checksum


def _cut(
    raw: bytes, delta: DepthDelta, spans: Mapping[str, tuple[int, int]], places: Sequence[str], form: DeltaForm
) -> FrameTemplate | None:
    """Cut a frame at what changes from one to the next."""
    kinds = {
        form.bids: BIDS,
        form.asks: ASKS,
        **dict.fromkeys(form.time, MOMENT),
        **dict.fromkeys(form.checksum, SIGNED),
    }
    texts, parts, order, at = list[bytes](), list[int](), list[str](), 0
    for place, (begin, end) in sorted(spans.items(), key=lambda one: one[1]):
        texts.append(raw[at:begin])
        parts += [begin - at, kinds.get(place, NUMBER)]
        order += [] if place in (form.bids, form.asks) else [place]
        at = end
    if len(parts) >= 2 * MOST_PARTS:
        return None
    last, first, previous, time, checksum = (order.index(place) if place else NONE for place in places)
    follows = (previous, 0) if previous != NONE else (first, 1)
    if follows[0] == NONE and delta.previous_sequence is not None:
        follows = (last, 1)  # its numbers are consecutive
    text, numbers = b"".join([*texts, raw[at:]]), (last, first, *follows, time, checksum)
    before = text[: parts[0]]
    head = before[: max(before.rfind(b","), before.rfind(b"{"))]
    return FrameTemplate(delta.symbol, head, text, (*parts, len(raw) - at, END), numbers)


def _spans(text: str, wanted: Set[str]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Find where the values stand that are wanted, by their places; of a text what is between its quotes.

    Raises:
        ValueError, IndexError: It is not JSON without spaces, or an object has a key twice.
    """
    end = yield from _spans_of(text, 0, "", wanted)
    if end != len(text):
        raise ValueError("more than one value")


def _spans_of(text: str, at: int, place: str, wanted: Set[str]) -> Generator[tuple[str, tuple[int, int]], None, int]:
    """The same of the value that begins at `at`; gives where it ends."""
    opening = text[at]
    if place in wanted or opening not in "{[":
        _, end = _VALUE(text, at)
        if place in wanted:
            yield place, (at + 1, end - 1) if opening == '"' else (at, end)
        return end
    closing, names = "}" if opening == "{" else "]", set[str]()
    at += 1
    while text[at] != closing:
        name = str(len(names))
        if opening == "{":
            name, at = _VALUE(text, at)
            at += 1
        if name in names:
            raise ValueError("a key twice")
        names.add(name)
        at = yield from _spans_of(text, at, f"{place}.{name}" if place else name, wanted)
        if text[at] not in (",", closing):
            raise ValueError("neither a comma nor an end")
        at += text[at] == ","
    return at + 1
