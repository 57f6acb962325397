"""One record: what of it is new, or what is wrong with it. It never ends the worker that reads it.

Whatever goes wrong on the way, and would go wrong again, is said in a letter about the record; what passes, a broker or
a database that does not answer, is raised, and nothing is wrong with the record then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from obflow.clickhouse import QueryFailed
from obflow.logs import get_logger
from schemas.dead_letters import letter_about_record
from schemas.errors import FatalError, MessageError, PipelineError, Unprocessable
from schemas.logs import Position
from schemas.messages import DeadLetter, Record
from sinks.batching import Entry
from sinks.blocks import BlockDecoder, BlockRows, Rows
from sinks.contract import Table
from sinks.counts import Counts
from sinks.dead_letters import ROLE
from sinks.identities import Identities, Sorted
from sinks.reader import Read
from sinks.recheck import RecheckResult
from sinks.tables import dead_letters

MAX_UNFORESEEN: Final = 16
"""More records in a row whose handling fails than this are no bad records: the code is wrong."""
_log = get_logger(__name__)


class Checks(Protocol):
    """Whoever holds records against the logs."""

    def begin(self) -> None:
        """Told of every poll that has brought records."""
        ...

    def check(self, record: Record, read: Read) -> None:
        """Raise a MessageError where a record breaks a rule."""
        ...


class Dropped(Protocol):
    """Knows the runs of which nothing is stored."""

    def look(self) -> None:
        """Told of every poll that has brought records."""
        ...

    def __contains__(self, run: object) -> bool: ...


class RecordHandler:
    """Makes of each record of a topic what its table is to hold of it.

    Args:
        table: The table.
        identities: What is stored already.
        judge: Holds records against the logs; None where nobody does.
        recheck: Compares repeated rows of one record with the stored ones.
        find_stored: Source offsets, of these rows of one stream, that the table holds.
        flush: Writes everything that is buffered and waits for it.
        counts: Where it is counted.
        dropped: Runs of which nothing is stored.
        decoder: Decodes a poll at once, as far as its records are plain; None where each is decoded by itself.
    """

    def __init__(
        self,
        table: Table[Any],
        identities: Identities,
        *,
        judge: Checks | None,
        recheck: Callable[[Rows], RecheckResult],
        find_stored: Callable[[Rows], set[int]],
        flush: Callable[[], None],
        counts: Counts,
        dropped: Dropped | None = None,
        decoder: BlockDecoder | None = None,
    ) -> None:
        self._table = table
        self._identities = identities
        self._judge = judge
        self._recheck = recheck
        self._find_stored = find_stored
        self._flush = flush
        self._counts = counts
        self._dropped = dropped
        self._decoder = decoder
        self._decoded: dict[Position, BlockRows] = {}  # of what was polled, and not handled yet
        self._unforeseen = 0  # in a row

    def begin(self, reads: Sequence[Read] = ()) -> None:
        """Records were polled and are about to be handled."""
        if self._judge is not None:
            self._judge.begin()
        if self._dropped is not None:
            self._dropped.look()
        if self._decoder is not None:
            self._decoded = self._decode(self._decoder, reads)

    def _decode(self, decoder: BlockDecoder, reads: Sequence[Read]) -> dict[Position, BlockRows]:
        """Decode what is plain of a poll. What was sent again by hand, or says so, is looked at by itself."""
        plain = [read for read in reads if not (read.sent_again or read.false_origin)]
        found = zip(plain, decoder.rows([read.payload for read in plain]), strict=True)
        decoded = {read.position: rows for read, rows in found if rows is not None}
        self._counts.compiled += len(decoded)
        self._counts.referred += len(reads) - len(decoded)
        return decoded

    def handle(self, read: Read) -> Entry | DeadLetter | None:
        """Make of a record its new rows, or the letter about it; None where it has no new rows.

        Raises:
            PipelineError: The broker or the database does not answer, or the code is wrong.
        """
        try:
            rows = self._new_rows(read)
        except MessageError as error:
            return self._refusal(read, error)
        self._unforeseen = 0
        return Entry(read.position, rows, read.payload, read.appended_ns, read.origin) if rows else None

    def _new_rows(self, read: Read) -> Rows:
        decoded = self._decoded.pop(read.position, None)
        try:
            record = self._table.decode(read.payload) if decoded is None else decoded.judged
            if self._judge is not None:
                self._judge.check(record, read)
            if self._is_dropped(record):
                return []
            return self._sorted(read, decoded or self._table.rows(record, read.origin.position))
        except QueryFailed as error:  # of the look at the stored rows that a record sent again by hand needs
            raise Unprocessable(f"the database refuses to look for its rows: {error.cause}") from error
        except (PipelineError, MemoryError, OSError):
            raise
        except Exception as error:
            self._note_unforeseen(error)
            raise Unprocessable(f"handling it failed ({type(error).__name__})") from error

    def _is_dropped(self, record: Record) -> bool:
        if self._dropped is None or getattr(record, "run", "") not in self._dropped:  # a letter is of no run
            return False
        self._counts.dropped += 1
        return True

    def _note_unforeseen(self, error: Exception) -> None:
        _log.exception("record_not_handled", table=self._table.name)
        self._unforeseen += 1
        if self._unforeseen > MAX_UNFORESEEN:
            raise FatalError(
                f"{self._unforeseen} records of {self._table.topic.name} in a row could not be handled "
                f"({type(error).__name__}: {error})",
                next_step="this is a mistake in the code: the log has the traceback",
            ) from error

    def _sorted(self, read: Read, rows: Rows) -> Rows:
        again = read.sent_again and rows and self._table.identified
        new, repeated = self._sort_again(rows) if again else self._identities.sort(rows)
        if repeated:
            self._look_at(repeated)
        return new

    def _sort_again(self, rows: Rows) -> Sorted:
        """Sort rows of a record sent again by hand: later ones may be stored, so each is looked for by itself."""
        self._flush()
        stored = self._find_stored(rows)
        sorted_rows = Sorted(
            [row for row in rows if self._table.source_offset(row) not in stored],
            [row for row in rows if self._table.source_offset(row) in stored],
        )
        self._identities.note(rows)
        return sorted_rows

    def _look_at(self, repeated: Rows) -> None:
        self._counts.repeated += len(repeated)
        verdict = self._compared(repeated)
        self._counts.equal += verdict.equal
        self._counts.unchecked += verdict.unchecked
        self._counts.different += len(verdict.different)
        if verdict.different:
            stream = self._table.stream(repeated[0])
            _log.error(
                "replay_differs",
                table=self._table.name,
                venue=stream.instrument.venue,
                symbol=stream.instrument.symbol,
                partition=stream.partition,
                offset=verdict.different[0],
                rows=len(verdict.different),
            )

    def _compared(self, repeated: Rows) -> RecheckResult:
        """Compare repeated rows with the stored ones. A comparison is a help: that it fails stops nothing."""
        try:
            return self._recheck(repeated)
        except Exception as error:
            _log.warning("recheck_failed", table=self._table.name, rows=len(repeated), error=str(error))
            return RecheckResult(0, [], len(repeated))

    def _refusal(self, read: Read, error: MessageError) -> Entry | DeadLetter:
        letter = letter_about_record(read.origin, read.payload, read.appended_ns, error, role=ROLE)
        self._counts.refuse(error.reason, 1)
        where = {"topic": self._table.topic.name, "partition": read.position.partition, "offset": read.position.offset}
        _log.warning("record_refused", reason=error.reason, error=letter.error, **where)
        if self._table is not dead_letters.TABLE:
            return letter
        # A letter about a letter would come back here: it is stored as it is.
        return Entry(read.position, [dead_letters.row_of(letter)], read.payload, read.appended_ns, read.origin)
