"""The one home of the ClickHouse client: connections with deadlines, inserts that say how they failed.

The client is `clickhouse-connect` over HTTP; a server and the embedded engine answer it alike. Its own retry of
inserts is a trap: `insert` and `insert_df` are sent again when the connection is lost, even where the server had
already stored the rows. `insert_arrow` is not, nor is a block that is sent as it is: rows go in here in no other way.
"""

from __future__ import annotations

import math
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client as Client  # who needs these two takes them from here
from clickhouse_connect.driver.exceptions import ClickHouseError as ClickHouseError
from clickhouse_connect.driver.exceptions import ProgrammingError
from clickhouse_connect.driver.httputil import get_pool_manager
from clickhouse_connect.driver.query import arrow_buffer

from obflow import clickhouse_access, engine_tokens
from obflow.logs import get_logger
from obflow.settings import ClickHouseSettings
from schemas.errors import DependencyError, FatalError, PipelineError, StoreUnreachable

log = get_logger(__name__)

CONNECT_TIMEOUT_S: Final = 10.0
SERVER_SHARE: Final = 0.8
CONNECTIONS: Final = 16
MAX_MESSAGE: Final = 400
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")

# Pinned, since servers differ in their defaults: an insert that was acknowledged is stored.
WRITER_SETTINGS: Final[dict[str, str]] = {"async_insert": "0"}

UNKNOWN_DATABASE: Final = 81
SYNTAX_ERROR: Final = 62
MORE_THAN_TEXT: Final = 1_000
NO_ACCESS: Final = frozenset({192, 193, 194, 516})  # unknown user, wrong password, password required, authentication
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
_MESSAGE = re.compile(r"DB::Exception:\s*(?P<text>.*)", re.S)
_TRAILERS = re.compile(r"\s*\(for url \S+\)\s*$|\s*\(version [^()]*(?:\([^()]*\))?\)")


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


class QueryFailed(FatalError):
    """ClickHouse refused a statement.

    Args:
        cause: What it said.
        next_step: What to do, or which statement it was.
        code: ClickHouse's error code; None where it gave none.
    """

    def __init__(self, cause: str, *, next_step: str = "", code: int | None = None) -> None:
        super().__init__(cause, next_step=next_step)
        self.code = code


def connect(settings: ClickHouseSettings, *, database: str | None = None, readonly: bool = False) -> Client:
    """Open a client. It may be shared by threads, and every answer has the deadline of the settings.

    Args:
        settings: Where and as whom.
        database: Another current database than the one of the settings.
        readonly: Whether the server is to refuse everything but reading.

    Raises:
        SettingsError: A file of the settings cannot be read.
        StoreUnreachable: Nothing that speaks ClickHouse's HTTP interface answers there.
        DependencyError: It answers, but not to this user, not with this certificate, or without this database.
    """
    try:
        client = clickhouse_connect.get_client(
            host=settings.host,
            port=settings.port,
            interface="https" if settings.secure else "http",  # the client's own guess follows the port
            database=database or settings.database,
            connect_timeout=math.ceil(min(CONNECT_TIMEOUT_S, settings.timeout_seconds)),
            send_receive_timeout=math.ceil(settings.timeout_seconds),
            autogenerate_session_id=False,  # a session takes one query at a time
            query_retries=1,
            **_credentials(settings, readonly=readonly),
            **_transport(settings),
        )
    except (ClickHouseError, OSError) as error:
        raise _explain_connect(error, settings, database or settings.database) from error
    if settings.host in LOOPBACK:
        client._backend.owns_pool_manager = True  # it closes only pools that it made, and this one is nobody else's
    # The server gives up first, so that its answer says what became of the statement.
    wanted = {"max_execution_time": str(settings.timeout_seconds * SERVER_SHARE)}
    wanted |= {"readonly": "1"} if readonly else WRITER_SETTINGS
    for name, value in wanted.items():
        known = client.server_settings.get(name)
        if known is not None and not known.readonly:  # a user who may only read may not change settings either
            client.set_client_setting(name, value)
    return client


class InsertCondition(NamedTuple):
    """What an insert is stored under.

    Attributes:
        kinds: ClickHouse's types of the columns, by name, in the rows' order.
        sql: True, or an error of `throwIf`. It is evaluated as the statement begins, before a row is read.
    """

    kinds: Mapping[str, str]
    sql: str


class RowsBeside:
    """What is known of an engine: whether it takes rows that come beside INSERT … SELECT.

    Servers do. What puts an engine behind HTTP by itself may not: rows then go into the statement's own text, as safely
    and more slowly.

    Attributes:
        are_taken: Whether it does, as far as was tried.
    """

    def __init__(self) -> None:
        self.are_taken = True


def insert_arrow(
    client: Client,
    table: str,
    rows: pa.Table,
    *,
    token: str,
    only_if: InsertCondition | None = None,
    beside: RowsBeside | None = None,
) -> None:
    """Store rows, all or none, as one part of the table.

    Args:
        client: From `connect`.
        table: Its name, in the client's database or with its own.
        rows: Of one table partition, at most 1,048,449 of them; columns by name.
        token: New for every attempt. It keeps the server from storing one attempt twice; reused for other rows, it
            would make the server drop them.
        only_if: InsertCondition without which nothing is stored.
        beside: What is known of the engine, and found out here.

    Raises:
        InsertError: One of its five subclasses.
    """
    settings: dict[str, str | int] = {"insert_deduplication_token": token, "max_partitions_per_insert_block": 1}
    try:
        if only_if is None:
            client.insert_arrow(table, rows, settings=settings)
        else:
            # More threads than one would write more than one part.
            selected = _Selected(client, table, rows, only_if, {**settings, "max_insert_threads": 1})
            selected.insert(beside or RowsBeside())
    except (ClickHouseError, OSError) as error:
        raise classify_insert(error, table=table, rows=rows.num_rows) from error


class _Selected(NamedTuple):
    """Rows that INSERT … SELECT stores where a condition holds."""

    client: Client
    table: str
    rows: pa.Table
    only_if: InsertCondition
    settings: dict[str, str | int]

    def insert(self, beside: RowsBeside) -> None:
        """Send them beside the statement; in it where the engine takes none. What does not parse stores nothing."""
        if beside.are_taken:
            try:
                self._beside()
            except ClickHouseError as error:
                if getattr(error, "code", None) != SYNTAX_ERROR:
                    raise
                self._within()
                beside.are_taken = False
                log.warning("rows_go_into_statements", why="the engine takes none beside INSERT … SELECT")
        else:
            self._within()

    def _beside(self) -> None:
        """The client writes FORMAT behind whatever it takes for the table's name."""
        compression = self.client.write_compression if self.client.write_compression in ("zstd", "lz4") else None
        _, block = arrow_buffer(self.rows, compression)
        self.client.raw_insert(self._statement(f"input('{self._kinds()}')"), None, block, self.settings, "Arrow")

    def _within(self) -> None:
        _, block = arrow_buffer(self.rows, None)
        text = b64encode(block).decode()
        statement = self._statement(f"format('Arrow', '{self._kinds()}', base64Decode('{text}'))")
        sized = {"max_query_size": len(statement) + MORE_THAN_TEXT, **self.settings}
        self.client.command(f"INSERT INTO {statement}", settings=sized)

    def _statement(self, source: str) -> str:
        return f"{self.table} ({', '.join(self.only_if.kinds)}) SELECT * FROM {source} WHERE {self.only_if.sql}"  # noqa: S608 (our own names)

    def _kinds(self) -> str:
        return ", ".join(f"{name} {kind}" for name, kind in self.only_if.kinds.items()).replace("'", "\\'")


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
    if code in UNANSWERED or (code is None and not isinstance(error, ProgrammingError)):  # that one was never sent
        kind = InsertUnanswered
    elif code in BUSY and _PARTITIONS not in text:
        kind = InsertBusy
    elif code == FENCED:
        kind = InsertFenced
    elif code in POISON:
        kind = InsertPoisoned
    return kind(text, table=table, rows=rows, code=code)


@contextmanager
def explained(settings: ClickHouseSettings) -> Iterator[None]:
    """Turn the client's errors inside the block into obflow's, for every statement that is not an insert of rows.

    Args:
        settings: Where the statements are sent.

    Raises:
        StoreUnreachable: No answer came.
        QueryFailed: ClickHouse refused the statement.
    """
    try:
        yield
    except (ClickHouseError, OSError) as error:
        raise query_error(error, settings) from error


def query_error(error: Exception, settings: ClickHouseSettings) -> PipelineError:
    """The sentence for a statement that failed.

    Args:
        error: As the client raised it.
        settings: Where the statement was sent.
    """
    code = getattr(error, "code", None)
    if code is None and not isinstance(error, ProgrammingError):
        return StoreUnreachable(
            f"ClickHouse at {settings.host}:{settings.port} did not answer in time or closed the connection",
            next_step=f"see its log; the client said: {message_of(error)}",
        )
    return QueryFailed(f"ClickHouse refused it: {message_of(error)}", code=code)


def message_of(error: Exception) -> str:
    """ClickHouse's own words, on one line, without the address and the version around them."""
    found = _MESSAGE.search(str(error))
    text = " ".join(_TRAILERS.sub("", found["text"] if found else str(error)).split())
    short = text if len(text) <= MAX_MESSAGE else text[:MAX_MESSAGE].rstrip() + " …"
    return short.rstrip(".") or type(error).__name__


def _credentials(settings: ClickHouseSettings, *, readonly: bool) -> dict[str, Any]:
    """As whom to connect: as the settings say, or where they name no password, with the embedded engine's token.

    An engine that was started again has another token; the client asks for it when the old one is refused.
    """

    def token() -> str:
        tokens = engine_tokens.find(settings.port)
        return "" if tokens is None else tokens.reader if readonly else tokens.writer

    password = settings.password.get_secret_value()
    if settings.user == engine_tokens.WRITER and not password and settings.host in LOOPBACK and token():
        return {"token_provider": token}
    # A certificate is the login where no password is given, and only opens the connection where one is.
    by_certificate = settings.certificate_file is not None and not password
    return {"username": settings.user, "password": password, "tls_mode": "mutual" if by_certificate else "strict"}


def _transport(settings: ClickHouseSettings) -> dict[str, Any]:
    """On loopback compression only costs time, and a proxy from the environment must not be asked."""
    tls = clickhouse_access.tls_options(settings)
    if settings.host not in LOOPBACK:
        return {"compress": True, **tls}
    return {"compress": False, "pool_mgr": get_pool_manager(maxsize=CONNECTIONS, num_pools=1, **tls), **tls}


def _explain_connect(error: Exception, settings: ClickHouseSettings, database: str) -> DependencyError:
    where, code = f"{settings.host}:{settings.port}", getattr(error, "code", None)
    if code in NO_ACCESS:
        return DependencyError(
            f"ClickHouse at {where} refuses the user {settings.user}",
            next_step="check clickhouse.user and clickhouse.password (or password_file); an embedded engine knows the "
            "commands of the user who started it",
        )
    if code == UNKNOWN_DATABASE:
        return DependencyError(
            f"ClickHouse at {where} has no database {database}", next_step="`obflow tables apply` creates it"
        )
    if code is not None:
        return DependencyError(
            f"ClickHouse at {where} cannot be used: {message_of(error)}", next_step="see its log for the cause"
        )
    return clickhouse_access.why_refused(settings) or StoreUnreachable(
        f"no ClickHouse answers at {where}",
        next_step="start it (`docker compose up -d clickhouse`, or `obflow clickhouse` for the embedded one), "
        "or set clickhouse.host and clickhouse.port",
    )
