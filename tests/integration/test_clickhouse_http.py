"""The bounds of the embedded engine's HTTP interface, with an engine that takes as long as it is told."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest
from aiohttp import ClientSession, FormData
from aiohttp.test_utils import TestServer

from embedded import clickhouse_http
from embedded.clickhouse_engine import Answer, ChdbEngine
from embedded.clickhouse_http import HttpInterface
from embedded.clickhouse_prepared import Context
from embedded.clickhouse_sql import Statement
from obflow.engine_tokens import EngineTokens
from tests.support.patience import patient

pytestmark = pytest.mark.integration

LIMIT = 10_000
TOKENS = EngineTokens(reader="reads", writer="writes")


class SlowEngine:
    """Answers the text of a statement; one that says `wait` is answered when released or cancelled."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.released = threading.Event()
        self.cancelled: list[str | None] = []

    def run(self, statement: Statement, context: Context, *, default_format: str) -> Answer:
        if "wait" in statement.text:
            self.entered.release()
            self.released.wait(patient(30))
        data = statement.data
        return Answer(statement.text.encode(), default_format, {"written_bytes": len(data) if data is not None else 0})

    def reads(self, statement: Statement) -> bool:
        return "SELECT" in statement.text

    def cancel(self, query_id: str | None = None) -> None:
        self.cancelled.append(query_id)
        self.released.set()


class Served:
    """An interface with small bounds, served on loopback."""

    def __init__(self, engine: SlowEngine, interface: HttpInterface, session: ClientSession, url: str) -> None:
        self.engine, self.interface, self._session, self._url = engine, interface, session, url

    async def ask(self, body: bytes | FormData | AsyncIterator[bytes], **headers: str) -> tuple[int, str]:
        """Status and ClickHouse's code."""
        async with self._session.post(self._url, data=body, headers=headers) as response:
            await response.read()
            return response.status, response.headers.get("X-ClickHouse-Exception-Code", "")

    def start_waiting(self, query_id: str) -> asyncio.Task[tuple[int, str]]:
        async def ask() -> tuple[int, str]:
            async with self._session.post(f"{self._url}?query_id={query_id}", data=b"SELECT wait") as response:
                return response.status, response.headers.get("X-ClickHouse-Exception-Code", "")

        return asyncio.create_task(ask())

    async def entered(self) -> None:
        assert await asyncio.to_thread(self.engine.entered.acquire, timeout=patient(10))


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    engine = SlowEngine()
    interface = HttpInterface(cast(ChdbEngine, engine), TOKENS, readers=1, writers=1, waiting=1, max_body_bytes=LIMIT)
    server = TestServer(interface.application(), handler_cancellation=True)
    await server.start_server(auto_decompress=False)
    async with ClientSession(headers={"X-ClickHouse-Key": TOKENS.writer}) as session:
        yield Served(engine, interface, session, str(server.make_url("/")))
    engine.released.set()
    await server.close()


async def _holds(condition: Callable[[], bool]) -> bool:
    for _ in range(500):
        if condition():
            return True
        await asyncio.sleep(0.01)
    return False


async def test_a_body_beyond_the_limit_is_refused(served: Served) -> None:
    head = b"INSERT INTO t FORMAT RowBinary\n"
    assert await served.ask(head + bytes(LIMIT - len(head))) == (200, "")
    assert await served.ask(head + bytes(LIMIT)) == (413, "307")


async def test_a_small_body_that_unpacks_beyond_the_limit_is_refused(served: Served) -> None:
    assert await served.ask(gzip.compress(bytes(LIMIT * 10)), **{"Content-Encoding": "gzip"}) == (413, "307")


async def test_external_data_is_refused_in_words(served: Served) -> None:
    form = FormData()
    form.add_field("query", "SELECT * FROM sent")
    form.add_field("sent", b"1\n", filename="sent.tsv")
    assert await served.ask(form) == (501, "48")


async def test_more_than_run_and_wait_at_once_are_turned_away(served: Served) -> None:
    """One runs, one waits, the third is refused; both others are answered, and the slot is free again."""
    running = served.start_waiting("first")
    await served.entered()
    waiting = served.start_waiting("second")
    assert await _holds(lambda: served.interface.writers.waiting == 1)
    assert await served.ask(b"SELECT 1") == (500, "202")
    served.engine.released.set()
    assert await running == await waiting == (200, "")
    assert await served.ask(b"SELECT 1") == (200, "")


async def test_who_waits_too_long_for_a_slot_is_told_so(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clickhouse_http, "WAIT_S", 0.05)
    running = served.start_waiting("first")
    await served.entered()
    assert await served.ask(b"SELECT 1") == (500, "202")
    served.engine.released.set()
    assert await running == (200, "")


async def test_a_reader_has_a_place_while_every_writer_is_busy(served: Served) -> None:
    running = served.start_waiting("first")
    await served.entered()
    shown = {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": TOKENS.reader}
    assert await served.ask(b"SELECT 1", **shown) == (200, "")
    served.engine.released.set()
    assert await running == (200, "")


async def test_a_body_that_does_not_come_takes_no_place(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clickhouse_http, "ARRIVE_S", 0.3)
    never = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"SEL"
        await never.wait()

    asked = asyncio.create_task(served.ask(slow()))
    await asyncio.sleep(0.05)
    assert await served.ask(b"SELECT 1") == (200, "")
    assert await asked == (500, "209")


async def test_who_is_nobody_is_refused_before_a_byte_of_the_body(served: Served) -> None:
    started = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        started.set()
        yield b"SELECT 1"
        await asyncio.sleep(30)

    assert await served.ask(body(), **{"X-ClickHouse-Key": "wrong"}) == (403, "516")


async def test_a_query_whose_client_has_gone_is_cancelled_and_its_slot_freed(served: Served) -> None:
    running = served.start_waiting("abandoned")
    await served.entered()
    running.cancel()
    assert await _holds(lambda: served.engine.cancelled == ["abandoned"])
    assert await served.ask(b"SELECT 1") == (200, "")


async def test_an_interface_that_drains_takes_nothing_new_and_cancels_the_rest(served: Served) -> None:
    running = served.start_waiting("last")
    await served.entered()
    drained = asyncio.create_task(served.interface.drain(0.2))
    assert await running == (200, "")
    assert await drained
    assert served.engine.cancelled == [None]
    assert await served.ask(b"SELECT 1") == (500, "236")
