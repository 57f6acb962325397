"""The places in another log that a stage's records name, held against that log as the broker knows it."""

from __future__ import annotations

from typing import Any, Protocol

from processors.contract import NamedPlaces
from schemas.errors import DecodeError, MessageError
from schemas.places import Extent, NamedPlace, is_inside


class NamedLog(Protocol):
    """A log of which the broker says how far it goes."""

    @property
    def extent(self) -> Extent:
        """The log as far as it is known."""

    def knows(self, named: NamedPlace) -> bool:
        """Whether enough is known to judge a place."""

    def expire(self) -> None:
        """What is known may not be enough for records read from now on."""

    def refresh(self, named: NamedPlace) -> None:
        """Ask the broker for as much as it takes to judge a place; blocks. Raises DependencyError: no answer."""


class AskBroker(Exception):
    """Whether a place is inside a log is to be asked of the broker, by `log.refresh(named)`; nothing has changed."""

    def __init__(self, log: NamedLog, named: NamedPlace) -> None:
        super().__init__(named)
        self.log = log
        self.named = named


class NamedPlaceJudge:
    """Judges records and states by the places they name.

    Args:
        names: What the stage's records name.
        log: The log in which they name it.
    """

    def __init__(self, names: NamedPlaces[Any, Any], log: NamedLog) -> None:
        self._names = names
        self._log = log

    def refusal(self, state: Any, record: Any) -> MessageError | None:  # noqa: ANN401 (the stage's own)
        """Why a record is refused, before it is taken into a state; None where it is not.

        Raises:
            AskBroker: Not enough is known.
        """
        named = self._names.named_by_record(record)
        if named is None:
            return None
        try:
            self._names.check(state, record, self._extent_for(named))
        except MessageError as error:
            return error
        return None

    def check_state(self, state: Any, partition: int) -> None:  # noqa: ANN401 (the stage's own)
        """Hold a loaded state against the log.

        Raises:
            DecodeError: It knows of records that the log does not have yet.
            AskBroker: Not enough is known.
        """
        known = self._names.named_by_state(state, partition)
        if known is None:
            return
        extent = self._extent_for(known)
        if known.log == extent.log and not is_inside(known, extent):
            raise DecodeError(f"a checkpoint knows of offset {known.offset}, where log {known.log} does not reach")

    def _extent_for(self, named: NamedPlace) -> Extent:
        if not self._log.knows(named):
            raise AskBroker(self._log, named)
        return self._log.extent
