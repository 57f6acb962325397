"""REST requests to a venue within its limits: each passes the venue's gate, which a refusal closes for everybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

import aiohttp

from obflow.clock import Clock, SystemClock
from obflow.clock_offsets import bounds_by_date_s
from obflow.response_headers import read_date
from producers.contract import Exchange, Fetch
from producers.live.gate import HostGate, Refusal, is_refusal
from producers.messages import Frame, Notice, NoticeKind, Via
from schemas.errors import Backpressure, ExchangeUnreachable, MessageError
from schemas.units import NS_PER_SECOND

REQUEST_SECONDS = 10.0
CONNECT_SECONDS = 5.0
REFUSAL_BYTES = 4_096
"""Of an answer that refuses: as much as is read of its reasons."""
READ_BYTES = 256 * 1024


class RequestRefused(ExchangeUnreachable):
    """The venue answered that it will not serve this request (HTTP 4xx): asking again would change nothing.

    Attributes:
        why: What it said.
    """

    def __init__(self, cause: str, *, why: str, next_step: str) -> None:
        super().__init__(cause, next_step=next_step)
        self.why = why


class RestClient:
    """The venue's REST interface. What its headers say is bounded, and no redirect is followed.

    Args:
        exchange: The venue; its limits are kept.
        url: Its address, without a path.
        max_bytes: A larger answer is cut one byte past it: whoever takes it refuses it by its size.
        gate: Who may ask, shared with the handshakes; by default its own.
        clock: What is now.
        on_clock: Told between what the venue's clock is ahead of ours, by each answer, seconds.

    Attributes:
        gate: The same.
    """

    def __init__(
        self,
        exchange: Exchange,
        url: str,
        max_bytes: int,
        gate: HostGate | None = None,
        *,
        clock: Clock | None = None,
        on_clock: Callable[[float, float], None] = lambda *_: None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._on_clock = on_clock
        self._exchange = exchange
        self._url = url.rstrip("/")
        self.max_bytes = max_bytes
        self.gate = gate or HostGate(exchange.limits)
        self._session: aiohttp.ClientSession | None = None

    @property
    def ignored(self) -> Counter[str]:
        """What the venue said of its limits and could not be meant, by what it was."""
        return self.gate.ignored

    async def __aenter__(self) -> RestClient:
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS, connect=CONNECT_SECONDS)
        self._session = aiohttp.ClientSession(timeout=timeout, trust_env=not is_loopback(self._url))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    def limit_weight(self, weight_per_minute: int) -> None:
        """Take the limit the venue itself told, where it can be meant."""
        self.gate.limit_weight(weight_per_minute)

    async def get(self, request: Fetch) -> bytes:
        """Fetch the body of an answer.

        Raises:
            Backpressure: The venue refuses for now; says for how long.
            RequestRefused: The venue finds the request itself wrong.
            ExchangeUnreachable: No answer in time, or an error.
        """
        if self._session is None:
            raise RuntimeError("the client is used outside its context")
        await self.gate.afford(request.weight)
        with self.gate.paid(request.weight) as passed_ns:
            asked_ns = self._clock.now_ns()
            try:
                async with self._session.get(self._url + request.path, allow_redirects=False) as answer:
                    self._compare_clocks(answer.headers.get("Date", ""), asked_ns)
                    self.gate.note_count(answer.headers.get(self._exchange.limits.weight_header, ""))
                    refused = is_refusal(answer.status, answer.headers.items())
                    body = await body_within(answer, REFUSAL_BYTES if refused else self.max_bytes)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise self._unreachable(str(error) or f"no answer within {REQUEST_SECONDS:g} s") from None
        notice = None if refused else self._notice_in(request, body)
        told = notice.detail or "too many requests" if notice and notice.kind is NoticeKind.TOO_MANY else ""
        if refused or told:
            refusal = Refusal(answer.status, tuple(answer.headers.items()), body.decode(errors="replace"), told)
            raise self._told_to_wait(passed_ns, refusal)
        self.gate.welcome(passed_ns)
        if notice and notice.kind is NoticeKind.UNAVAILABLE:
            raise self._unreachable(notice.detail)
        if answer.status != 200:
            said = "a redirect, which is not followed" if 300 <= answer.status < 400 else _quoted(body)
            why = f"HTTP {answer.status}: {said}"
            raise self._refused_for_good(why) if 400 <= answer.status < 500 else self._unreachable(why)
        return body

    def _compare_clocks(self, date: str, asked_ns: int) -> None:
        date_s = read_date(date)
        if date_s is not None:
            heard_s = self._clock.now_ns() / NS_PER_SECOND
            self._on_clock(*bounds_by_date_s(date_s, asked_ns / NS_PER_SECOND, heard_s))

    def _notice_in(self, request: Fetch, body: bytes) -> Notice | None:
        """What an answer says besides data, whatever its status: some venues refuse with 200, or 400."""
        if len(body) > REFUSAL_BYTES:
            return None
        try:
            told = self._exchange.parse(Frame(0, Via.REST, request=request.path, raw=body))
        except MessageError:
            return None
        return next((one for one in told if isinstance(one, Notice)), None)

    def _told_to_wait(self, passed_ns: int, refusal: Refusal) -> Backpressure:
        wait_s = self.gate.refuse(passed_ns, refusal)
        return Backpressure(self.gate.why, retry_after_s=wait_s, address=self._url)

    def _refused_for_good(self, why: str) -> RequestRefused:
        return RequestRefused(
            f"{self._exchange.venue} refuses a request at {self._url} ({why})",
            why=why,
            next_step="check the symbols, or producer.rest_url",
        )

    def _unreachable(self, why: str) -> ExchangeUnreachable:
        return ExchangeUnreachable(
            f"{self._exchange.venue} does not answer at {self._url} ({why})",
            next_step="check the network, or set producer.rest_url",
        )


async def body_within(answer: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Read an answer whole, in however many parts it comes; a larger one is cut one byte past `max_bytes`."""
    body = bytearray()
    async for chunk in answer.content.iter_chunked(READ_BYTES):
        body += chunk
        if len(body) > max_bytes:
            answer.close()
            break
    return bytes(body[: max_bytes + 1])


def _quoted(body: bytes) -> str:
    return body[:200].decode(errors="replace")


def is_loopback(url: str) -> bool:
    """Tell whether an address is this machine: what lies there is never behind a proxy."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
