"""What is done where handling a record fails for a reason nobody foresaw, as it would again at every start.

The record is found, by reading its key again from its last checkpoint one record at a time, and set aside as one that
does not decode; all others give what they would have given without it.
"""

from __future__ import annotations

from typing import Final

from processors.worker.offsets import PartitionOffsets
from schemas.errors import FatalError, Unprocessable

MAX_UNFORESEEN: Final = 16
"""More records of a partition whose handling fails than this are no bad records: the code is wrong."""


class ReadAgain(Exception):
    """The partition has to be read again from `offset`, before anything else is processed."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


class SetAside:
    """The records of one partition whose handling fails.

    Args:
        offsets: Of the partition.
    """

    def __init__(self, offsets: PartitionOffsets) -> None:
        self._offsets = offsets
        self._errors: dict[int, Unprocessable] = {}
        self._searched: dict[str, int] = {}

    def error_of(self, offset: int) -> Unprocessable | None:
        """Why a record is set aside; None where it is not."""
        return self._errors.get(offset)

    def is_searched(self, key: str, offset: int) -> bool:
        """Whether a key's records are to be handled one by one here, to find the one that fails."""
        return offset <= self._searched.get(key, -1)

    def after_failure(self, key: str, offsets: list[int], error: Exception) -> ReadAgain:
        """Set a record aside, or begin to look for it among several; where to read the partition again from.

        Args:
            key: Whose records.
            offsets: Of the records that were handled together.
            error: What became of it.

        Raises:
            FatalError: Too many are set aside.
        """
        if len(offsets) == 1:
            self._errors[offsets[0]] = Unprocessable(f"handling it failed ({type(error).__name__})")
        if len(self._errors) > MAX_UNFORESEEN:
            raise FatalError(
                f"{len(self._errors)} records of a partition could not be handled ({type(error).__name__}: {error})",
                next_step="this is a mistake in the code: the log has the traceback",
                offset=offsets[0],
            ) from error
        self._searched[key] = max(offsets[-1], self._searched.get(key, -1))
        return ReadAgain(min(offsets[0], self._offsets.unsaved_from(key, offsets[0])))
