"""ClickHouse's HTTP interface in front of the embedded engine, on loopback.

It speaks what ordinary clients use: `/ping`; statements in the address, the body or a form; `{name:Type}` parameters;
settings in the address; compressed and chunked bodies; errors with ClickHouse's codes; summary headers. Users are
`default` (reads and writes) and `reader` (reads); the password of each is a token of the engine's start. Not here, and
refused in words: sessions and temporary tables, external data, roles, ClickHouse's own block compression. Answers are
not compressed.

Every request has bounds: the size of its body and of its answer, the requests that run and that wait, and the time it
may take to arrive, to wait and to run. Who reads has places and bounds apart from who writes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from embedded.clickhouse_access import may_write, refuse_browsers
from embedded.clickhouse_bodies import MAX_BODY_BYTES, decompress, too_large
from embedded.clickhouse_engine import Answer, ChdbEngine
from embedded.clickhouse_prepared import Context
from embedded.clickhouse_slots import Slots
from embedded.clickhouse_sql import DEFAULT_DATABASE, NOT_IMPLEMENTED, QueryRefused, Statement, split_statement
from obflow.engine_tokens import EngineTokens
from schemas.units import NS_PER_SECOND

MAX_HEADER_BYTES: Final = 1024 * 1024  # settings, parameters and whole statements may stand in the address
READER_BODY_BYTES: Final = 4 * 1024 * 1024
READERS: Final = 4
WRITERS: Final = 12
WAITING: Final = 64
ARRIVE_S: Final = 60.0
WAIT_S: Final = 30.0

# What an address may carry besides settings and parameters.
TRANSPORT: Final = frozenset(
    {
        *("query", "database", "user", "password", "query_id", "default_format", "quota_key", "role"),
        *("session_id", "session_timeout", "session_check", "close_session", "client_protocol_version"),
        *("stacktrace", "wait_end_of_query", "buffer_size", "compress", "decompress"),
    }
)
UNSUPPORTED: Final = ("compress", "decompress", "role")

SOCKET_TIMEOUT: Final = 209
ABORTED: Final = 236
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
        readonly: Whether the user, the method or the request itself allows reading only.
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
        engine: Answers the statements, from pools of threads.
        tokens: What its two users have to show.
        readers: How many statements that may only read run at once.
        writers: How many of the others do.
        waiting: How many more of each may wait for one of them to end.
        max_body_bytes: The largest body, as it arrives and decompressed.
    """

    def __init__(
        self,
        engine: ChdbEngine,
        tokens: EngineTokens,
        *,
        readers: int = READERS,
        writers: int = WRITERS,
        waiting: int = WAITING,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._engine, self._tokens = engine, tokens
        self._max_body_bytes = max_body_bytes
        self.readers, self.writers = Slots("readers", readers, waiting), Slots("writers", writers, waiting)
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
        self.readers.close()
        self.writers.close()
        await self._wait(timeout_s / 2)
        if self._running:
            await asyncio.to_thread(self._engine.cancel)
            await self._wait(timeout_s / 2)  # none may be left by now: they end as they are cancelled
        return not self._running

    async def _wait(self, timeout_s: float) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=timeout_s)

    async def _handle(self, request: web.Request) -> web.Response:
        if request.path == "/ping":
            return _response(b"Ok.\n")
        query_id = request.query.get("query_id", "")
        if not query_id.isprintable() or not query_id:  # it is sent back as a header
            query_id = str(uuid.uuid4())
        try:
            refuse_browsers(request.headers)
            writes = may_write(request.headers, request.query, self._tokens)
        except QueryRefused as refused:  # before a byte of its body was read, and its connection goes with it
            response = _refusal(refused, query_id)
            response.force_close()
            return response
        if request.path == "/replicas_status" or (request.path == "/" and _only_greets(request)):
            return _response(b"Ok.\n")
        if request.path != "/":
            return _response(f"There is no handle {request.path}\n".encode(), status=404)
        return await self._answered(request, query_id, writes=writes)

    async def _answered(self, request: web.Request, query_id: str, *, writes: bool) -> web.Response:
        started = time.monotonic()
        limit = self._max_body_bytes if writes else min(READER_BODY_BYTES, self._max_body_bytes)
        try:
            answer = await self._answer(request.clone(client_max_size=limit), query_id, writes=writes)
        except QueryRefused as refused:
            return _refusal(refused, query_id)
        except web.HTTPRequestEntityTooLarge:
            return _refusal(too_large(limit), query_id)
        summary = {**answer.counts, "elapsed_ns": int((time.monotonic() - started) * NS_PER_SECOND)}
        headers = {
            "X-ClickHouse-Query-Id": query_id,
            "X-ClickHouse-Summary": json.dumps({name: str(count) for name, count in summary.items()}),
        }
        return _response(answer.body, format_name=answer.format, headers=headers)

    async def _answer(self, request: web.BaseRequest, query_id: str, *, writes: bool) -> Answer:
        try:
            ask = await asyncio.wait_for(_read(request, query_id, writes=writes), ARRIVE_S)
        except TimeoutError:
            raise QueryRefused(SOCKET_TIMEOUT, f"The request did not arrive in {ARRIVE_S:g} s") from None
        slots = self.readers if ask.readonly else self.writers
        await slots.take(WAIT_S)  # once all of the request has arrived, so that nobody keeps a place by being slow
        try:
            if self._stopping:
                raise QueryRefused(ABORTED, "The embedded engine is shutting down (ABORTED)")
            future = asyncio.get_running_loop().run_in_executor(slots.threads, self._run, ask)
        except BaseException:
            slots.give_back()
            raise
        # The place is free when the statement has ended, which may be after its client has gone.
        self._running.add(future)
        future.add_done_callback(lambda ended: self._ended(ended, slots))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:  # the client has gone: nobody waits for what it asked
            await asyncio.to_thread(self._abandon, ask)
            raise

    def _ended(self, future: asyncio.Future[Answer], slots: Slots) -> None:
        self._running.discard(future)
        slots.give_back()
        if not future.cancelled() and (error := future.exception()) and not isinstance(error, QueryRefused):
            _log.error("a statement failed unexpectedly", exc_info=error)

    def _run(self, ask: Ask) -> Answer:
        fields = ask.fields
        context = Context(
            query_id=ask.query_id,
            database=fields.get("database") or ask.database or DEFAULT_DATABASE,
            settings={name: value for name, value in fields.items() if _is_setting(name)},
            parameters={name[6:]: value for name, value in fields.items() if name.startswith("param_")},
            readonly=ask.readonly,
        )
        return self._engine.run(self._statement(ask), context, default_format=ask.default_format)

    def _statement(self, ask: Ask) -> Statement:
        return split_statement(ask.fields.get("query", ""), decompress(ask.body, ask.encoding, self._max_body_bytes))

    def _abandon(self, ask: Ask) -> None:
        """End a statement that reads; one that changes something is finished, whoever has gone."""
        try:
            if ask.readonly or self._engine.reads(self._statement(ask)):
                self._engine.cancel(ask.query_id)
        except QueryRefused:
            return


async def _read(request: web.BaseRequest, query_id: str, *, writes: bool) -> Ask:
    fields = dict(request.query)
    body = b""
    if request.content_type == "multipart/form-data":
        form = await request.post()
        if sent := [value for value in form.values() if isinstance(value, web.FileField)]:
            for value in sent:
                value.file.close()
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
        readonly=not writes or request.method != "POST" or fields.get("readonly", "0") != "0",
        query_id=query_id,
        database=headers.get("X-ClickHouse-Database", ""),
        default_format=fields.get("default_format") or headers.get("X-ClickHouse-Format") or "TabSeparated",
    )


def _is_setting(name: str) -> bool:
    # Read-only mode is the context's own, set after all other settings.
    return name not in TRANSPORT and name != "readonly" and not name.startswith("param_")


def _only_greets(request: web.Request) -> bool:
    return request.method in ("GET", "HEAD") and "query" not in request.query


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
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        **({"X-ClickHouse-Format": format_name} if format_name else {}),
    }
    return web.Response(body=body, status=status, headers={**base, **(headers or {})})
