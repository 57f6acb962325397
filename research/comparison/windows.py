"""Windows that can be asked about: those of a minute's question, with what was known of their instrument then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from processors.regimes.prompt import is_plain_name
from processors.regimes.questions import MINUTES_QUESTION_S
from processors.regimes.rules import Scores, Verdict
from processors.regimes.state import SHOWN_WINDOWS, Closed
from processors.regimes.window import WindowSummary
from schemas.messages import InstrumentKey, Regime, Source
from schemas.units import NS_PER_SECOND

NOT_STORED: Final = Scores(None, None, None, None)


class AskableWindow(NamedTuple):
    """A closed window, and the name its instrument has in minutes and forecasts."""

    name: str
    instrument: InstrumentKey
    closed: Closed


class StoredWindow(NamedTuple):
    """What a table keeps of a window and the rules' judgement of it.

    Attributes:
        window: What its events say.
        label: The rules' answer.
        decided_ns: When it closed, ns UTC.
        source_log: Log of the event that closed it; another one is another memory.
        feed_source, run: Of its last event.
    """

    window: WindowSummary
    label: Regime
    decided_ns: int
    source_log: str
    feed_source: Source
    run: str


def is_askable(found: AskableWindow) -> bool:
    """Whether it is a minute's question, the one whose answer is scored, and such that it would be asked."""
    window = found.closed.window
    is_minutes = window.end_ns // NS_PER_SECOND % 60 == MINUTES_QUESTION_S
    is_whole = window.whole and window.usable_events > 0
    return is_minutes and is_whole and all(map(is_plain_name, found.instrument))


def rebuilt(rows: Iterable[StoredWindow]) -> Iterator[Closed]:
    """The windows of one instrument as they closed, with those before them, out of what tables keep.

    Args:
        rows: In the order of their windows.
    """
    recent: list[WindowSummary] = []
    before: StoredWindow | None = None
    began_ns = held = judged = 0
    for row in rows:
        if before is None or not _goes_on(before, row):
            recent, held, judged, before = [], 0, 0, None
        began_ns = began_ns if recent else row.window.start_ns
        recent = [*recent, row.window][-SHOWN_WINDOWS:]
        held = held + 1 if before is None or before.label is row.label else 1
        judged += 1
        verdict = Verdict(row.label, 0.0, NOT_STORED, held, judged)
        told = (row.feed_source, row.source_log, 0, 0, row.decided_ns, row.run)
        yield Closed(row.window, verdict, tuple(recent), began_ns, *told)
        before = row


def _goes_on(before: StoredWindow, row: StoredWindow) -> bool:
    """Whether the memory does: it begins anew at and behind a broken window, with another log, where time goes back."""
    follows = row.source_log == before.source_log and row.window.start_ns > before.window.start_ns
    return follows and row.window.whole and before.window.whole
