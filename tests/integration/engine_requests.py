"""Raw requests to a running embedded engine, as whoever one likes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlencode

from embedded.clickhouse import EmbeddedClickHouse


class Answer:
    """One raw answer, read to its end."""

    def __init__(self, response: HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def code(self) -> str | None:
        """ClickHouse's code of the error."""
        return self.headers["X-ClickHouse-Exception-Code"]


class Requests:
    """Asks a running engine.

    Args:
        engine: Which one.
        timeout_s: The longest wait for an answer.
    """

    def __init__(self, engine: EmbeddedClickHouse, timeout_s: float = 60.0) -> None:
        self.engine = engine
        self._timeout_s = timeout_s
        tokens = engine.tokens
        self.reader = {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": tokens.reader}
        self.writer = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": tokens.writer}

    def send(
        self,
        body: bytes | str | Iterator[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "POST",
        path: str = "/",
        **fields: str,
    ) -> Answer:
        """Send one request over a connection of its own."""
        with connection_to(self.engine, self._timeout_s) as connection:
            address = f"{path}?{urlencode(fields)}" if fields else path
            data = body.encode() if isinstance(body, str) else body
            connection.request(method, address, body=data, headers=dict(headers or {}))
            return Answer(connection.getresponse())

    def read(self, sql: str, **fields: str) -> Answer:
        """Ask as the reader."""
        return self.send(sql, self.reader, **fields)

    def write(self, sql: str, **fields: str) -> Answer:
        """Ask as the user who may write."""
        return self.send(sql, self.writer, **fields)

    def get(self, sql: str, headers: Mapping[str, str], **fields: str) -> Answer:
        """Ask with a GET, the statement in the address."""
        return self.send(b"", headers, method="GET", query=sql, **fields)


@contextmanager
def connection_to(engine: EmbeddedClickHouse, timeout_s: float = 60.0) -> Iterator[HTTPConnection]:
    """A connection to the engine's port, closed at the end."""
    connection = HTTPConnection(engine.host, engine.port, timeout=timeout_s)
    try:
        yield connection
    finally:
        connection.close()
