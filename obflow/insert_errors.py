"""What a failed insert means for its rows: stored or not, to be sent again or not. ClickHouse's error code says it."""

from __future__ import annotations

from typing import Any, Final

from obflow.clickhouse import NO_ACCESS, message_of, was_unanswered
from schemas.errors import PipelineError

# The server said that it could not just now, and stored nothing.
BUSY: Final = frozenset(
    {
        173,  # CANNOT_ALLOCATE_MEMORY
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        203,  # NO_FREE_CONNECTION
        236,  # ABORTED (it is shutting down)
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY (a replica without its keeper)
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS (merges lag behind)
        285,  # TOO_FEW_LIVE_REPLICAS
        439,  # CANNOT_SCHEDULE_TASK
        473,  # DEADLOCK_AVOIDED
        745,  # SERVER_OVERLOADED
        777,  # MEMORY_RESERVATION_KILLED
        778,  # MEMORY_RESERVATION_FAILED
    }
)
# It cannot be told from the answer whether the rows are stored.
UNANSWERED: Final = frozenset(
    {
        159,  # TIMEOUT_EXCEEDED
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        279,  # ALL_CONNECTION_TRIES_FAILED
        286,  # UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
        319,  # UNKNOWN_STATUS_OF_INSERT
        394,  # QUERY_WAS_CANCELLED
        999,  # KEEPER_EXCEPTION
    }
)
FENCED: Final = 395  # FUNCTION_THROW_IF_VALUE_IS_NON_ZERO
# A value of some row is not one of its column, or breaks a constraint of the table: no later try will store it.
POISON: Final = frozenset(
    {
        6,  # CANNOT_PARSE_TEXT
        26,  # CANNOT_PARSE_QUOTED_STRING
        27,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
        38,  # CANNOT_PARSE_DATE
        41,  # CANNOT_PARSE_DATETIME
        53,  # TYPE_MISMATCH
        69,  # ARGUMENT_OUT_OF_BOUND
        70,  # CANNOT_CONVERT_TYPE
        72,  # CANNOT_PARSE_NUMBER
        117,  # INCORRECT_DATA
        131,  # TOO_LARGE_STRING_SIZE
        169,  # BAD_TYPE_OF_FIELD
        190,  # SIZES_OF_ARRAYS_DONT_MATCH
        321,  # VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
        349,  # CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
        469,  # VIOLATED_CONSTRAINT
        691,  # UNKNOWN_ELEMENT_OF_ENUM
    }
)
# Of the inserts that are refused for good, those that no row is to blame for: the table, the user or a setting is not
# what the insert says.
MISFIT: Final = frozenset(
    {
        8,  # THERE_IS_NO_COLUMN
        10,  # NOT_FOUND_COLUMN_IN_BLOCK
        16,  # NO_SUCH_COLUMN_IN_TABLE
        20,  # NUMBER_OF_COLUMNS_DOESNT_MATCH
        47,  # UNKNOWN_IDENTIFIER
        48,  # NOT_IMPLEMENTED
        60,  # UNKNOWN_TABLE
        62,  # SYNTAX_ERROR
        73,  # UNKNOWN_FORMAT
        81,  # UNKNOWN_DATABASE
        115,  # UNKNOWN_SETTING
        164,  # READONLY
        252,  # TOO_MANY_PARTS, said of a batch over several table partitions
        452,  # SETTING_CONSTRAINT_VIOLATION
        497,  # ACCESS_DENIED
        *NO_ACCESS,
    }
)
# One error code, two meanings: a batch over several table partitions is the caller's mistake, not a busy server.
_PARTITIONS = "Too many partitions for single INSERT block"


class InsertError(PipelineError):
    """An insert did not succeed. Which of the five below it is says what to do.

    Args:
        cause: What the server, or the network, said.
        table: The table.
        rows: How many rows were in the insert.
        code: ClickHouse's error code; None where no answer came.
    """

    def __init__(self, cause: str, *, table: str, rows: int, code: int | None) -> None:
        where: dict[str, Any] = {"table": table, "rows": rows}
        super().__init__(cause, **(where if code is None else {**where, "code": code}))
        self.table = table
        self.rows = rows
        self.code = code


class InsertBusy(InsertError):
    """Nothing was stored, for a reason that passes: pause, then send the same rows under a new token."""


class InsertUnanswered(InsertError):
    """The rows may be stored or not: read back how far the table is before sending anything."""


class InsertRejected(InsertError):
    """Nothing was stored, and the same insert would be refused again: table and rows do not fit."""

    @property
    def is_misfit(self) -> bool:
        """Whether no row can be to blame: the table has another shape, or the insert was not allowed or never sent."""
        return self.code is None or self.code in MISFIT


class InsertFenced(InsertError):
    """Nothing was stored: the condition of the insert did not hold."""


class InsertPoisoned(InsertError):
    """Nothing was stored, because some row holds a value that its column or the table's constraints refuse."""


def classify_insert(error: Exception, *, table: str, rows: int) -> InsertError:
    """Say what a failed insert means for its rows.

    Args:
        error: As the client raised it.
        table: Where the rows were to go.
        rows: How many there were.

    Returns:
        The error to raise. A code that is in none of the lists is a rejection: whether a row is to blame, the writer
        finds out.
    """
    code, text = getattr(error, "code", None), message_of(error)
    kind: type[InsertError] = InsertRejected
    if code in UNANSWERED or was_unanswered(error):
        kind = InsertUnanswered
    elif code in BUSY and _PARTITIONS not in text:
        kind = InsertBusy
    elif code == FENCED:
        kind = InsertFenced
    elif code in POISON:
        kind = InsertPoisoned
    return kind(text, table=table, rows=rows, code=code)
