"""REST requests to a venue within its limits.

Every request is paid for in the venue's weight before it leaves; the venue's own count, which sees whoever else uses
this address, corrects ours. A refusal for too many requests stops all of them until the time the venue names.
"""

from __future__ import annotations

import time
from collections import Counter
from ipaddress import ip_address
from urllib.parse import urlsplit

import aiohttp
from aiolimiter import AsyncLimiter

from obflow.response_headers import read_count, read_retry_after
from producers.contract import Exchange, Fetch
from schemas.errors import Backpressure, ExchangeUnreachable

REQUEST_SECONDS = 10.0
CONNECT_SECONDS = 5.0
USABLE_WEIGHT = 0.8
"""Share of the venue's weight that is used: others may share the address, and their clock is not ours."""
DEFAULT_REFUSAL_SECONDS = 30.0
TOO_MANY = (429, 418)
UNAVAILABLE = 503
WEIGHT_FACTOR = 100.0
"""A venue that tells a limit so many times smaller or larger than it documents is not believed."""
READ_BYTES = 256 * 1024


class RequestRefused(ExchangeUnreachable):
    """The venue answered that it will not serve this request (HTTP 4xx): asking again would change nothing."""


class RestClient:
    """The venue's REST interface. What its headers say is bounded, and no redirect is followed.

    Args:
        exchange: The venue; its limits are kept.
        url: Its address, without a path.
        max_bytes: A larger answer is cut one byte past it: whoever takes it refuses it by its size.

    Attributes:
        ignored: What the venue said of its limits and could not be meant, by what it was.
    """

    def __init__(self, exchange: Exchange, url: str, max_bytes: int) -> None:
        self._exchange = exchange
        self._url = url.rstrip("/")
        self.max_bytes = max_bytes
        self.ignored: Counter[str] = Counter()
        self._refused_until = 0.0
        self._session: aiohttp.ClientSession | None = None
        self._limit(exchange.limits.weight_per_minute)

    async def __aenter__(self) -> RestClient:
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS, connect=CONNECT_SECONDS)
        self._session = aiohttp.ClientSession(timeout=timeout, trust_env=not is_loopback(self._url))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    def limit_weight(self, weight_per_minute: int) -> None:
        """Take the limit the venue itself told, where it can be meant."""
        documented = self._exchange.limits.weight_per_minute
        if documented / WEIGHT_FACTOR <= weight_per_minute <= documented * WEIGHT_FACTOR:
            self._limit(weight_per_minute)
        else:
            self.ignored["weight_limit"] += 1

    def _limit(self, weight_per_minute: int) -> None:
        self._weight_per_minute = weight_per_minute
        self._limiter = AsyncLimiter(weight_per_minute * USABLE_WEIGHT, 60.0)

    async def get(self, request: Fetch) -> bytes:
        """Fetch the body of an answer.

        Raises:
            Backpressure: The venue refuses for now; says for how long.
            RequestRefused: The venue finds the request itself wrong.
            ExchangeUnreachable: No answer in time, or an error.
        """
        if self._session is None:
            raise RuntimeError("the client is used outside its context")
        wait_s = self._refused_until - time.monotonic()
        if wait_s > 0:
            raise Backpressure("the venue refuses requests for now", retry_after_s=wait_s, address=self._url)
        await self._limiter.acquire(min(request.weight, self._limiter.max_rate))
        try:
            async with self._session.get(self._url + request.path, allow_redirects=False) as answer:
                self._note_weight(answer.headers.get(self._exchange.limits.weight_header, ""), request.weight)
                self._require_welcome(answer)
                body = await self._body(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(str(error) or f"no answer within {REQUEST_SECONDS:g} s") from None
        if answer.status != 200:
            said = "a redirect, which is not followed" if 300 <= answer.status < 400 else _quoted(body)
            why = f"HTTP {answer.status}: {said}"
            raise self._refused_for_good(why) if 400 <= answer.status < 500 else self._unreachable(why)
        return body

    async def _body(self, answer: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in answer.content.iter_chunked(READ_BYTES):
            body += chunk
            if len(body) > self.max_bytes:
                answer.close()
                break
        return bytes(body[: self.max_bytes + 1])

    def _note_weight(self, used: str, weight: int) -> None:
        """Where the venue has counted nearly all of the minute's weight, stop until the next minute."""
        counted = read_count(used) if used else 0
        if counted is None:
            self.ignored["weight_header"] += 1
        elif counted + weight > self._weight_per_minute:
            self._refused_until = time.monotonic() + 60.0 - time.time() % 60.0

    def _require_welcome(self, answer: aiohttp.ClientResponse) -> None:
        """Stop all requests where the venue asks to be left alone for a while."""
        told = answer.headers.get("Retry-After", "")
        if answer.status not in TOO_MANY and not (answer.status == UNAVAILABLE and told):
            return
        wait_s = asked_wait_s(told, self.ignored)
        self._refused_until = time.monotonic() + wait_s
        raise Backpressure(
            f"the venue refuses requests (HTTP {answer.status})", retry_after_s=wait_s, address=self._url
        )

    def _refused_for_good(self, why: str) -> RequestRefused:
        return RequestRefused(
            f"{self._exchange.venue} refuses a request at {self._url} ({why})",
            next_step="check the symbols, or producer.rest_url",
        )

    def _unreachable(self, why: str) -> ExchangeUnreachable:
        return ExchangeUnreachable(
            f"{self._exchange.venue} does not answer at {self._url} ({why})",
            next_step="check the network, or set producer.rest_url",
        )


def asked_wait_s(told: str, ignored: Counter[str]) -> float:
    """Read for how many seconds a venue asks to be left alone; a default where it says nothing readable."""
    wait_s = read_retry_after(told, time.time())
    if told and wait_s is None:
        ignored["retry_after"] += 1
    return DEFAULT_REFUSAL_SECONDS if wait_s is None else wait_s


def _quoted(body: bytes) -> str:
    return body[:200].decode(errors="replace")


def is_loopback(url: str) -> bool:
    """Tell whether an address is this machine: what lies there is never behind a proxy."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
