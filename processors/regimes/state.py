"""What is remembered of one instrument between factor events, and its checkpoint.

Events come in source order. One that was taken before (its source offset is not higher, within a `source_log`) changes
nothing, so a log may be read again from anywhere. Another `source_log` is another stream and starts afresh; what still
comes of one that was left is passed over.

Time may go back where a recording is replayed as it was, or a clock was set. An event from before the open window is
late and left out; one from more than a minute before it shows that the stream began anew: the open window, which is
never to be whole, is given up and the memory starts afresh, as if the log were another.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from processors.contract import Renewals
from processors.derived.followed import BEGAN_ANEW_NS, LEFT_LOGS
from processors.regimes.rules import RuleSettings, RuleState, Verdict, judge
from processors.regimes.window import OpenWindow, WindowSummary
from schemas.errors import DecodeError
from schemas.messages import FactorEvent, FactorRecord, Source

SHOWN_WINDOWS: Final = 12
"""How many windows are remembered, the newest: what a question about one shows."""


class Passed(StrEnum):
    """Why an event was left out, or the memory started afresh."""

    REPEATED = "already_processed"
    LEFT_LOG = "left_source_log"
    LATE = "before_window"
    BEGAN_ANEW = "began_anew"


class Closed(NamedTuple):
    """A window that an event has closed.

    Attributes:
        window: What its events say.
        verdict: The rules' answer.
        recent: The last windows since the memory began, oldest first, this one the last.
        began_ns: Start of the first window since then.
        feed_source, run: Of its last event.
        source_log, source_partition, source_offset: The event that closed it.
        received_ns: When that was received, ns UTC.
    """

    window: WindowSummary
    verdict: Verdict
    recent: tuple[WindowSummary, ...]
    began_ns: int
    feed_source: Source
    source_log: str
    source_partition: int
    source_offset: int
    received_ns: int
    run: str = ""


class RegimeState(msgspec.Struct):
    """Memory of one instrument.

    Attributes:
        source_log: Log that the events come from.
        left_logs: Logs they came from before.
        next_offset: First source offset that is not in this state; -1 before the first event.
        feed_source, run: Of the open window's last event.
        window: The open window; null before the first event.
        rules: What the rules remember.
        recent: The last windows since their memory began, oldest first.
        began_ns: Start of the first window since then.
    """

    source_log: str = ""
    left_logs: list[str] = []
    next_offset: int = -1
    feed_source: Source = Source.LIVE
    window: OpenWindow | None = None
    rules: RuleState = msgspec.field(default_factory=RuleState)
    recent: list[WindowSummary] = []
    began_ns: int = 0
    run: str = ""

    def to_bytes(self) -> bytes:
        """The state as a checkpoint: its fields by name."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> RegimeState:
        """The state a checkpoint holds.

        Raises:
            DecodeError: cut or impossible.
        """
        try:
            return msgspec.msgpack.decode(data, type=cls)
        except msgspec.MsgspecError as error:
            raise DecodeError(f"a checkpoint holds an impossible value ({error})") from error


def renewed(data: bytes) -> bytes:
    """Write anew a checkpoint of layout 2, whose windows say nothing of trades. Raises DecodeError: it is no such."""
    try:
        state = msgspec.msgpack.decode(data)
        state["recent"] = [{**window, "trade_flow": None, "trade_volume": None} for window in state["recent"]]
    except (msgspec.MsgspecError, LookupError, TypeError) as error:
        raise DecodeError(f"a checkpoint holds an impossible value ({error})") from error
    return msgspec.msgpack.encode(state)


OLDER: Final[Renewals] = {2: renewed}
"""Layout 1 is not among them: it was of rule set r1, whose scores mean something else."""


def close_windows(
    state: RegimeState, record: FactorRecord, settings: RuleSettings, passed: Callable[[Passed], None]
) -> list[Closed]:
    """Take a record's events and return the windows they close, in order.

    Args:
        state: The instrument's memory; changed in place.
        record: Its factor events.
        settings: Thresholds of the rules.
        passed: Told of every event that was left out, and of every fresh start.
    """
    if record.source_log in state.left_logs:
        for _ in record.events:
            passed(Passed.LEFT_LOG)
        return []
    if record.source_log != state.source_log:
        _start_afresh(state, record.source_log)
    closed = []
    for event in record.events:
        if event.source_offset < state.next_offset:
            passed(Passed.REPEATED)
            continue
        state.next_offset = event.source_offset + 1
        window = advance(state, event, passed)
        if window is not None:
            closed.append(_judged(state, window, settings, record, event))
        state.feed_source, state.run = record.source, record.run
    return closed


def advance(state: RegimeState, event: FactorEvent, passed: Callable[[Passed], None]) -> WindowSummary | None:
    """Put one new event into the window it lies in, and return the window it closes, if it does."""
    at, window = event.received_ns, state.window
    if window is not None and at < window.start_ns - BEGAN_ANEW_NS:
        passed(Passed.BEGAN_ANEW)
        state.window = window = None
        _forget(state)
    if window is not None and at < window.start_ns:
        passed(Passed.LATE)
        return None
    closed = None
    if window is None or at >= window.end_ns:
        closed = window
        window = state.window = OpenWindow.starting(at, closed)
    window.add(event)
    return None if closed is None else closed.close()


def _judged(
    state: RegimeState, window: WindowSummary, settings: RuleSettings, record: FactorRecord, event: FactorEvent
) -> Closed:
    if not window.whole:
        _forget(state)
    if not state.recent:
        state.began_ns = window.start_ns
    state.recent = [*state.recent, window][-SHOWN_WINDOWS:]
    closed = Closed(
        window,
        judge(state.rules, window, settings),
        tuple(state.recent),
        state.began_ns,
        state.feed_source,
        record.source_log,
        record.source_partition,
        event.source_offset,
        event.received_ns,
        state.run,
    )
    if not window.whole:
        _forget(state)
    return closed


def _forget(state: RegimeState) -> None:
    """The book broke, or the stream began anew: what was usual before says nothing of what is now."""
    state.rules, state.recent = RuleState(), []


def _start_afresh(state: RegimeState, source_log: str) -> None:
    fresh = RegimeState(source_log=source_log)
    if state.source_log:
        fresh.left_logs = [*state.left_logs, state.source_log][-LEFT_LOGS:]
    for name in RegimeState.__struct_fields__:
        setattr(state, name, getattr(fresh, name))
