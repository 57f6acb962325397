"""What lets a record in: it decodes, and it lies where it may. And what is done where handling it fails all the same.

Handling that fails for a reason nobody foresaw fails again at every start. So the record is found, by reading its
instrument again from its last checkpoint one record at a time, and set aside as one that does not decode; all others
give what they would have given without it.
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from processors.worker.cut import SourceLog, SourceRecord
from processors.worker.offsets import PartitionProgress
from schemas.codec import decode_as
from schemas.errors import DecodeError, FatalError, Unprocessable
from schemas.messages import InstrumentKey, Record
from schemas.places import Place, check_place

MAX_UNFORESEEN: Final = 16
"""More records of a partition whose handling fails than this are no bad records: the code is wrong."""

R = TypeVar("R", bound=msgspec.Struct)


def admit(kind: type[R], source: SourceRecord, partition: int, log: SourceLog) -> R:
    """Decode a record and hold it against where it lies.

    Raises:
        MessageError: It is none of this kind, or breaks a rule of `schemas.places`.
    """
    if source.value is None:
        raise DecodeError("a record without a value")
    record = decode_as(kind, source.value)
    admitted: Record = record  # type: ignore[assignment] # the codec gives nothing else
    check_place(admitted, Place(partition, log.partitions, source.timestamp))
    return record


class ReadAgain(Exception):
    """The partition has to be read again from `offset`, before anything else is processed."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


class SetAside:
    """The records of one partition whose handling fails.

    Args:
        progress: Of the partition.
    """

    def __init__(self, progress: PartitionProgress) -> None:
        self._progress = progress
        self._errors: dict[int, Unprocessable] = {}
        self._looking: dict[InstrumentKey, int] = {}

    def error_of(self, offset: int) -> Unprocessable | None:
        """Why a record is set aside; None where it is not."""
        return self._errors.get(offset)

    def is_looked_through(self, instrument: InstrumentKey, offset: int) -> bool:
        """Whether an instrument's records are to be handled one by one here, to find the one that fails."""
        return offset <= self._looking.get(instrument, -1)

    def after_failure(self, instrument: InstrumentKey, offsets: list[int], error: Exception) -> ReadAgain:
        """Set a record aside, or begin to look for it among several; where to read the partition again from.

        Args:
            instrument: Whose records.
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
        self._looking[instrument] = max(offsets[-1], self._looking.get(instrument, -1))
        return ReadAgain(min(offsets[0], self._progress.unsaved_from(instrument, offsets[0])))
