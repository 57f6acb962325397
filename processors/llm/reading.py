"""Reads a log on a thread of its own, for ever, and hands on what it says to whoever keeps it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

from obflow.following import Followed
from obflow.logs import get_logger
from obflow.whole_log import Logged
from schemas.codec import decode_as
from schemas.errors import MessageError
from schemas.messages import Record

log = get_logger(__name__)

AGAIN_S: Final = 2.0
T = TypeVar("T", bound=Record)

Follow = Callable[[Mapping[int, int], threading.Event], Iterator[Followed]]
"""Reads a log from offsets on until the event is set."""


class LogReader:
    """One reading of a log.

    Args:
        name: Of the thread.
        follow: Reads the log.
        begin: Gives the offsets to begin at.
        take: Takes records, on the thread; one that cannot be used is passed over.

    Attributes:
        is_current: Whether everything that lay in the log at the beginning was taken.
    """

    def __init__(
        self,
        name: str,
        follow: Follow,
        begin: Callable[[], Mapping[int, int]],
        take: Callable[[Iterable[Logged]], None],
    ) -> None:
        self.is_current = False
        self._follow = follow
        self._begin = begin
        self._take = take
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End it soon. Does not wait."""
        self._stopped.set()

    def _run(self) -> None:
        upto: dict[int, int] | None = None
        while not self._stopped.is_set():
            try:
                upto = dict(self._begin()) if upto is None else upto
                for found in self._follow(upto, self._stopped):
                    self._take(found.records)
                    upto.update({logged.partition: logged.offset + 1 for logged in found.records})
                    self.is_current = self.is_current or found.is_current
            except Exception as error:  # whatever the client raises: a reader that ended would never obey again
                log.warning("log_not_read", reader=self._thread.name, cause=str(error), again_s=AGAIN_S)
                self._stopped.wait(AGAIN_S)


def decoded(records: Iterable[Logged], decode: Callable[[bytes], object]) -> Iterator[object]:
    """The records that are ones; a sink puts the others aside."""
    for logged in records:
        with suppress(MessageError):
            yield decode(logged.value)


def decoded_as(record: type[T], records: Iterable[Logged]) -> Iterator[T]:
    """The records that are ones of a type."""
    for one in decoded(records, partial(decode_as, record)):
        if isinstance(one, record):
            yield one
