"""What `obflow tail` says while nothing comes that it was asked for, and whether anything still can."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from obflow import kafka_logs
from obflow.settings import nearest
from obflow.terminal import tell
from schemas.errors import BrokerUnreachable, TopicMismatch

if TYPE_CHECKING:
    from obflow.settings import Settings

LOOK_EVERY_S: Final = 10.0
"""So long nothing came before anything is said, and the topic is looked for again."""
SHOWN: Final = 5


class TailSilence:
    """Time in which no record that was asked for came.

    Args:
        settings: `kafka` is used.
        topic: Name on the broker.
        topic_id: The identity it had at the start.
        instrument: What was asked for; None where every record is.
    """

    def __init__(self, settings: Settings, topic: str, topic_id: str, instrument: str | None) -> None:
        self._settings = settings
        self._topic = topic
        self._topic_id = topic_id
        self._instrument = instrument
        self._others: dict[str, None] = {}
        self._look_s: float | None = None
        self._said = ""

    def note(self, now_s: float, other: dict[str, Any] | None) -> None:
        """Note a moment in which nothing came, or a record that was not asked for.

        Args:
            now_s: The time, of any clock that only goes forward, seconds.
            other: The fields of that record; None where nothing came, or what came cannot be read.

        Raises:
            TopicMismatch: The topic was deleted, or made anew, so that nothing will come.
        """
        if other and "symbol" in other:
            self._others[f"{other.get('venue', '')}:{other['symbol']}"] = None
        if self._look_s is None:
            self._look_s = now_s + LOOK_EVERY_S
        elif now_s >= self._look_s:
            self._look_s = now_s + LOOK_EVERY_S
            self._look()

    def end(self) -> None:
        """Note that a record came that was asked for."""
        self._look_s, self._said = None, ""

    def _look(self) -> None:
        try:
            found = kafka_logs.topic_ids(self._settings, [self._topic])[self._topic]
        except BrokerUnreachable as error:
            return self._say(error.cause)
        if found != self._topic_id:
            raise TopicMismatch(f"{self._topic} was made anew while it was read", next_step="give the command again")
        return self._say(self._sentence())

    def _say(self, sentence: str) -> None:
        if sentence != self._said:
            self._said = sentence
            tell(sentence)

    def _sentence(self) -> str:
        of = f" of {self._instrument}" if self._instrument else ""
        waits = f"no record{of} has come to {self._topic} for {LOOK_EVERY_S:.0f} s"
        if not self._others:
            return waits
        names = sorted(self._others)
        close = nearest(self._instrument or "", [*names, *(name.partition(":")[2] for name in names)])
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        meant = f"; did you mean {close}?" if close else ""
        return f"{waits}; there were some of {', '.join(names[:SHOWN])}{more}{meant}"
