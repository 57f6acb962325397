"""The one home of the ClickHouse client: connections with deadlines, and failures put in words.

The client is `clickhouse-connect` over HTTP; a server and the embedded engine answer it alike. Rows go in by
`obflow/inserts.py`, which takes what it needs of the client from here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import clickhouse_connect
from clickhouse_connect.driver.client import (
    Client as Client,  # who needs this, the error or the buffer takes it from here
)
from clickhouse_connect.driver.exceptions import ClickHouseError as ClickHouseError
from clickhouse_connect.driver.exceptions import ProgrammingError
from clickhouse_connect.driver.httputil import get_pool_manager
from clickhouse_connect.driver.query import arrow_buffer as arrow_buffer

from obflow import clickhouse_access, engine_tokens
from obflow.settings import ClickHouseSettings
from schemas.errors import DependencyError, FatalError, PipelineError, StoreUnreachable

CONNECT_TIMEOUT_S: Final = 10.0
SERVER_SHARE: Final = 0.8
CONNECTIONS: Final = 16
MAX_MESSAGE: Final = 400
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")

# Pinned, since servers differ in their defaults: an insert that was acknowledged is stored.
WRITER_SETTINGS: Final[dict[str, str]] = {"async_insert": "0"}

UNKNOWN_DATABASE: Final = 81
NO_ACCESS: Final = frozenset({192, 193, 194, 516})  # unknown user, wrong password, password required, authentication
_MESSAGE = re.compile(r"DB::Exception:\s*(?P<text>.*)", re.S)
_TRAILERS = re.compile(r"\s*\(for url \S+\)\s*$|\s*\(version [^()]*(?:\([^()]*\))?\)")


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
    if was_unanswered(error):
        return StoreUnreachable(
            f"ClickHouse at {settings.host}:{settings.port} did not answer in time or closed the connection",
            next_step=f"see its log; the client said: {message_of(error)}",
        )
    return QueryFailed(f"ClickHouse refused it: {message_of(error)}", code=getattr(error, "code", None))


def was_unanswered(error: Exception) -> bool:
    """Tell whether what was sent got no answer; what the client itself refused was never sent."""
    return getattr(error, "code", None) is None and not isinstance(error, ProgrammingError)


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
