"""ClickHouse's HTTP interface in front of the embedded engine, on loopback.

It speaks what ordinary clients use: `/ping`; statements in the address, the body or a form; `{name:Type}` parameters;
settings in the address; compressed and chunked bodies; errors with ClickHouse's codes; summary headers. Users are
`default` (reads and writes) and `reader` (reads), both without a password. Not here, and refused in words: sessions and
temporary tables, external data, roles, ClickHouse's own block compression. Answers are not compressed.

Every request has bounds: the size of its body and of its answer, the requests that run and that wait, and the time it
may take to arrive, to wait and to run.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import ipaddress
import json
import logging
import time
import uuid
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from obflow.embedded.clickhouse_engine import DEFAULT_DATABASE, Answer, Context, Engine
from obflow.embedded.clickhouse_sql import NOT_IMPLEMENTED, QueryRefused, Statement, parse_statement

MAX_BODY_BYTES: Final = 256 * 1024 * 1024
MAX_HEADER_BYTES: Final = 1024 * 1024  # settings, parameters and whole statements may stand in the address
RUNNING: Final = 16
WAITING: Final = 64
ARRIVE_S: Final = 60.0
WAIT_S: Final = 30.0

READ_WRITE_USER: Final = "default"
READER: Final = "reader"
LOOPBACK_NAMES: Final = ("localhost",)

# What an address may carry besides settings and parameters.
TRANSPORT: Final = frozenset(
    {
        *("query", "database", "user", "password", "query_id", "default_format", "quota_key", "role"),
        *("session_id", "session_timeout", "session_check", "close_session", "client_protocol_version"),
        *("stacktrace", "wait_end_of_query", "buffer_size", "compress", "decompress"),
    }
)
UNSUPPORTED: Final = ("compress", "decompress", "role")

TOO_MANY_QUERIES: Final = 202
TOO_MANY_BYTES: Final = 307
SOCKET_TIMEOUT: Final = 209
ABORTED: Final = 236
CANNOT_DECOMPRESS: Final = 354
AUTHENTICATION_FAILED: Final = 516
# The server's own mapping of error codes to statuses, as far as clients meet it here; every other error is a 500.
STATUS: Final[Mapping[int, int]] = {
    **dict.fromkeys((6, 26, 27, 38, 41, 44, 53, 62, 69, 72, 117), 400),
    **dict.fromkeys((193, 192, 497, 516), 403),
    **dict.fromkeys((16, 46, 47, 60, 63, 73, 81, 115), 404),
    159: 408,
    307: 413,
    48: 501,
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, read off the wire.

    Attributes:
        fields: Of the address and the form.
        body: As it arrived, still compressed.
        encoding: Its Content-Encoding.
        readonly: Whether the user or the method may only read.
        query_id: The client's name for the query.
        database: As the header names it, where the address does not.
        default_format: Format of the answer where the statement names none.
    """

    fields: Mapping[str, str]
    body: bytes
    encoding: str
    readonly: bool
    query_id: str
    database: str
    default_format: str


class HttpInterface:
    """Answers HTTP requests from an engine.

    Args:
        engine: Answers the statements, from a pool of threads.
        running: How many statements run at once.
        waiting: How many more may wait for one of them to end.
        max_body_bytes: The largest body, as it arrives and decompressed.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        running: int = RUNNING,
        waiting: int = WAITING,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._engine = engine
        self._max_running, self._max_waiting, self._max_body_bytes = running, waiting, max_body_bytes
        self._pool = ThreadPoolExecutor(running, thread_name_prefix="query")
        self._slots = asyncio.Semaphore(running)
        self._waiting = 0
        self._stopping = False
        self._running: set[asyncio.Future[Answer]] = set()

    def application(self) -> web.Application:
        """The application that aiohttp serves."""
        application = web.Application(client_max_size=self._max_body_bytes)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def drain(self, timeout_s: float) -> bool:
        """Let running statements end; those that do not are cancelled half-way through the time.

        Args:
            timeout_s: The longest wait.

        Returns:
            Whether all have ended.
        """
        self._stopping = True
        self._pool.shutdown(wait=False)
        if self._running:
            await asyncio.wait(self._running, timeout=timeout_s / 2)
        if self._running:
            await asyncio.to_thread(self._engine.cancel)
            await asyncio.wait(self._running, timeout=timeout_s / 2)
        return not self._running

    async def _handle(self, request: web.Request) -> web.Response:
        if request.path in ("/ping", "/replicas_status") or (request.path == "/" and _only_greets(request)):
            return _response(b"Ok.\n")
        if request.path != "/":
            return _response(f"There is no handle {request.path}\n".encode(), status=404)
        query_id = request.query.get("query_id") or str(uuid.uuid4())
        started = time.monotonic()
        try:
            answer = await self._answer(request, query_id)
        except QueryRefused as refused:
            return _refusal(refused, query_id)
        except web.HTTPRequestEntityTooLarge:
            return _refusal(_too_large(self._max_body_bytes), query_id)
        summary = {**answer.counts, "elapsed_ns": int((time.monotonic() - started) * 1e9)}
        headers = {
            "X-ClickHouse-Query-Id": query_id,
            "X-ClickHouse-Summary": json.dumps({name: str(count) for name, count in summary.items()}),
        }
        return _response(answer.body, format_name=answer.format, headers=headers)

    async def _answer(self, request: web.Request, query_id: str) -> Answer:
        _refuse_browsers(request)
        reader = _user(request) == READER
        await self._take_slot()
        try:
            ask = await asyncio.wait_for(_read(request, query_id, reader=reader), ARRIVE_S)
            if self._stopping:
                raise QueryRefused(ABORTED, "The embedded engine is shutting down (ABORTED)")
            future = asyncio.get_running_loop().run_in_executor(self._pool, self._run, ask)
        except TimeoutError:
            self._slots.release()
            raise QueryRefused(SOCKET_TIMEOUT, f"The request did not arrive in {ARRIVE_S:g} s") from None
        except BaseException:
            self._slots.release()
            raise
        # The slot is free when the statement has ended, which may be after its client has gone.
        self._running.add(future)
        future.add_done_callback(self._ended)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:  # the client has gone: nobody waits for what it asked
            if self._reads(ask):
                await asyncio.to_thread(self._engine.cancel, query_id)
            raise

    async def _take_slot(self) -> None:
        if self._slots.locked() and self._waiting >= self._max_waiting:
            raise QueryRefused(
                TOO_MANY_QUERIES,
                f"Too many simultaneous queries: {self._max_running} run and {self._waiting} wait"
                " (TOO_MANY_SIMULTANEOUS_QUERIES)",
            )
        self._waiting += 1
        try:
            await asyncio.wait_for(self._slots.acquire(), WAIT_S)
        except TimeoutError:
            raise QueryRefused(
                TOO_MANY_QUERIES,
                f"Too many simultaneous queries: none of {self._max_running} ended in {WAIT_S:g} s"
                " (TOO_MANY_SIMULTANEOUS_QUERIES)",
            ) from None
        finally:
            self._waiting -= 1

    def _ended(self, future: asyncio.Future[Answer]) -> None:
        self._running.discard(future)
        self._slots.release()
        if not future.cancelled() and (error := future.exception()) and not isinstance(error, QueryRefused):
            _log.error("a statement failed unexpectedly", exc_info=error)

    def _run(self, ask: Ask) -> Answer:
        statement = self._statement(ask)
        fields = ask.fields
        context = Context(
            query_id=ask.query_id,
            database=fields.get("database") or ask.database or DEFAULT_DATABASE,
            settings={name: value for name, value in fields.items() if _is_setting(name)},
            parameters={name[6:]: value for name, value in fields.items() if name.startswith("param_")},
            readonly=ask.readonly or fields.get("readonly", "0") != "0",
        )
        return self._engine.run(statement, context, default_format=ask.default_format)

    def _statement(self, ask: Ask) -> Statement:
        return parse_statement(ask.fields.get("query", ""), decompress(ask.body, ask.encoding, self._max_body_bytes))

    def _reads(self, ask: Ask) -> bool:
        """Whether a statement only reads; an insert that has arrived is finished, whoever has gone."""
        try:
            return self._statement(ask).answers
        except QueryRefused:
            return False


def _too_large(limit: int) -> QueryRefused:
    return QueryRefused(TOO_MANY_BYTES, f"The body is larger than {limit} bytes (TOO_MANY_BYTES)")


async def _read(request: web.Request, query_id: str, *, reader: bool) -> Ask:
    fields = dict(request.query)
    body = b""
    if request.content_type == "multipart/form-data":
        form = await request.post()
        if any(isinstance(value, web.FileField) for value in form.values()):
            raise QueryRefused(NOT_IMPLEMENTED, "External data is not in the embedded engine (NOT_IMPLEMENTED)")
        fields |= {name: str(value) for name, value in form.items()}
    else:
        body = await request.read()
    for name in UNSUPPORTED:
        if fields.get(name, "0") not in ("", "0"):
            raise QueryRefused(NOT_IMPLEMENTED, f"{name!r} is not in the embedded engine (NOT_IMPLEMENTED)")
    headers = request.headers
    return Ask(
        fields=fields,
        body=body,
        encoding=headers.get("Content-Encoding", ""),
        readonly=reader or request.method != "POST",
        query_id=query_id,
        database=headers.get("X-ClickHouse-Database", ""),
        default_format=fields.get("default_format") or headers.get("X-ClickHouse-Format") or "TabSeparated",
    )


def _is_setting(name: str) -> bool:
    # Read-only mode is the context's own, set after all other settings.
    return name not in TRANSPORT and name != "readonly" and not name.startswith("param_")


def decompress(body: bytes, encoding: str, limit: int = MAX_BODY_BYTES) -> bytes:
    """Undo a body's Content-Encoding.

    Args:
        body: As it arrived.
        encoding: gzip, deflate, lz4 (frames), zstd, or none.
        limit: The most bytes it may become.

    Raises:
        QueryRefused: Another encoding, not of this encoding, or too large.
    """
    if encoding in ("", "identity"):
        return body
    try:
        plain = _inflate(body, encoding, limit)
    except (OSError, EOFError, RuntimeError, zlib.error) as error:
        raise QueryRefused(CANNOT_DECOMPRESS, f"The body is not {encoding}: {error}") from None
    if len(plain) > limit:
        raise _too_large(limit)
    return plain


def _inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """At most one byte more than the limit, whatever the body claims to hold."""
    if encoding in ("gzip", "deflate"):
        inflater = zlib.decompressobj(wbits=31 if encoding == "gzip" else 15)
        plain = inflater.decompress(body, limit + 1)
        if len(plain) <= limit and (not inflater.eof or inflater.unused_data):
            raise EOFError("it does not end where its data end")
        return plain
    if encoding == "lz4":
        import lz4.frame  # type: ignore[import-untyped]

        with lz4.frame.LZ4FrameFile(io.BytesIO(body)) as stream:
            return bytes(stream.read(limit + 1))
    if encoding == "zstd":
        from backports import zstd

        try:
            with zstd.ZstdFile(io.BytesIO(body)) as stream:
                return bytes(stream.read(limit + 1))
        except zstd.ZstdError as error:
            raise OSError(str(error)) from None
    raise QueryRefused(NOT_IMPLEMENTED, f"Content-Encoding {encoding!r} is not in the embedded engine")


def _only_greets(request: web.Request) -> bool:
    return request.method in ("GET", "HEAD") and "query" not in request.query


def _refuse_browsers(request: web.Request) -> None:
    """Keep a web page that is open in a browser on this machine from talking to a database without passwords.

    A page of another origin is named by `Origin`; one whose name was made to point here is betrayed by `Host`.
    """
    hosts = [request.headers.get("Host", "")]
    if origin := request.headers.get("Origin"):
        hosts.append(urlsplit(origin).netloc)
    if not all(map(is_loopback, (urlsplit(f"//{host}").hostname or "" for host in hosts))):
        raise QueryRefused(AUTHENTICATION_FAILED, "The embedded engine answers programs on this machine only")


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine alone."""
    try:
        return host in LOOPBACK_NAMES or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _user(request: web.Request) -> str:
    headers, fields = request.headers, request.query
    if "X-ClickHouse-User" in headers:
        name = headers["X-ClickHouse-User"]
    elif "Authorization" in headers:
        name = _basic_user(headers["Authorization"])
    else:
        name = fields.get("user", READ_WRITE_USER)
    if name not in (READ_WRITE_USER, READER):
        raise QueryRefused(
            AUTHENTICATION_FAILED, f"{name}: Authentication failed: the embedded engine has no such user"
        )
    return name


def _basic_user(header: str) -> str:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise QueryRefused(AUTHENTICATION_FAILED, f"Authentication by {scheme} is not in the embedded engine")
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        raise QueryRefused(AUTHENTICATION_FAILED, "The Authorization header is not Basic credentials") from None


def _refusal(refused: QueryRefused, query_id: str) -> web.Response:
    headers = {"X-ClickHouse-Exception-Code": str(refused.code), "X-ClickHouse-Query-Id": query_id}
    text = f"Code: {refused.code}. DB::Exception: {refused.text}\n"
    return _response(text.encode(), status=STATUS.get(refused.code, 500), headers=headers)


def _response(
    body: bytes, *, status: int = 200, format_name: str = "", headers: Mapping[str, str] | None = None
) -> web.Response:
    kind = "application/json" if format_name.startswith("JSON") else "text/plain"
    base = {
        "Content-Type": f"{kind}; charset=UTF-8",
        "X-ClickHouse-Server-Display-Name": "obflow-embedded",
        "X-ClickHouse-Timezone": "UTC",
        **({"X-ClickHouse-Format": format_name} if format_name else {}),
    }
    return web.Response(body=body, status=status, headers={**base, **(headers or {})})
