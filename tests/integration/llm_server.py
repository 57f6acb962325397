"""An OpenAI-compatible server on loopback that answers in every way a real one has been seen to.

It runs on a thread of its own, keeps its own books of what it was asked and what its answers took, and imports nothing
of the code under test.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

from aiohttp import web

from tests.support.patience import patient

INPUT_PRICE: Final = "0.15"
OUTPUT_PRICE: Final = "0.60"
VERDICT: Final[dict[str, Any]] = {
    "label": "VOLATILE",
    "p_up": 0.25,
    "p_volatile": 0.75,
    "observations": ["The volatility of the last windows lies above those before them.", "The spread has not changed."],
    "risk": "The move may be over.",
    "summary": "The price moves more than it did.",
}
CACHED_TOKENS: Final = 512
DETAILS: Final = {
    "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
    "completion_tokens_details": {"reasoning_tokens": 8},
}
HUGE_BYTES: Final = 10 * 1024 * 1024
SYMBOL: Final = web.RequestKey("symbol", str)
READ_BACK_BYTES: Final = 2 * 1024 * 1024


@dataclass
class Asked:
    """One request, as the server saw it."""

    body: dict[str, Any]
    key: str
    way: str
    symbol: str


@dataclass
class LlmServer:
    """What the server does and what it has seen.

    Attributes:
        ways: How the next requests are answered; the last way goes on.
        way_of: How requests about a symbol are answered, where that is not by turns.
        asked: Every request.
        cost_usd: By its own prices, of the answers it sent whole, exact.
        tokens: Of those answers, in and out.
        sent_bytes: Of the last answer, as far as it was taken.
        keys: Keys it takes; empty takes any.
        without_usage: Whether answers say nothing of tokens.
        cached_price: Of the input it had kept.
        refuses, refuses_with: Names in a request that it refuses, and the status of that.
        redirects: Status and address of a redirect.
        answering: Symbols of the requests being answered now.
        most_under_way: Most of them at once.
        models: Names of its models, as it lists them.
        list_status: Status of that list.
        content: What the way `says` says.
        sends: Status, headers and JSON body of the way `sends`.
        replies: Bodies of the way `replies`, by symbol, as they are; with status 200.
        finds: What it finds amiss in a request: the status and body it is refused with, null where nothing is.
        listed: Keys with which its models were asked for.
        fails_at: A word in a request at which it fails with 500, as some do at a schema.
    """

    url: str = ""
    ways: list[str] = field(default_factory=lambda: ["good"])
    way_of: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    cost_usd: Fraction = Fraction(0)
    tokens: tuple[int, int] = (0, 0)
    sent_bytes: int = 0
    keys: set[str] = field(default_factory=set)
    without_usage: bool = False
    cached_price: str = INPUT_PRICE
    refuses: set[str] = field(default_factory=set)
    refuses_with: int = 400
    retry_after: str = "0.3"
    redirects: tuple[int, str] = (307, "")
    delay_s: float = 0.0
    answering: list[str] = field(default_factory=list)
    most_under_way: int = 0
    models: tuple[str, ...] = ("m", "n")
    list_status: int = 200
    content: object = None
    sends: tuple[int, dict[str, str], object] = (200, {}, None)
    replies: dict[str, bytes] = field(default_factory=dict)
    fails_at: str = ""
    finds: Callable[[dict[str, Any]], tuple[int, object] | None] = lambda _: None
    listed: list[str] = field(default_factory=list)

    async def list_models(self, request: web.Request) -> web.Response:
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.listed.append(key)
        if self.keys and key not in self.keys:
            return web.json_response({"error": {"message": "no"}}, status=401)
        return web.json_response({"data": [{"id": name} for name in self.models]}, status=self.list_status)

    @property
    def under_way(self) -> int:
        """Requests being answered now."""
        return len(self.answering)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        symbol = json.loads(body["messages"][-1]["content"].rpartition("\n")[2])["symbol"]
        request[SYMBOL] = symbol
        self.answering.append(symbol)
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self._answer(request, body, symbol)
        finally:
            self.answering.remove(symbol)

    async def _answer(self, request: web.Request, body: dict[str, Any], symbol: str) -> web.StreamResponse:
        way = self.way_of.get(symbol) or (self.ways.pop(0) if len(self.ways) > 1 else self.ways[0])
        self.asked.append(Asked(body, request.headers.get("Authorization", "").removeprefix("Bearer "), way, symbol))
        await asyncio.sleep(self.delay_s)
        if self.keys and self.asked[-1].key not in self.keys:
            way = "unauthorized"
        if self.refuses & body.keys():
            return web.json_response({"error": {"message": f"unknown {self.refuses}"}}, status=self.refuses_with)
        if (refusal := self.finds(body)) is not None:
            return web.json_response(refusal[1], status=refusal[0])
        if self.fails_at and self.fails_at in json.dumps(body):
            return web.json_response({"error": {"message": "internal error"}}, status=500)
        return await WAYS[way](self, request)

    def completion(self, content: object, finish: str = "stop") -> dict[str, Any]:
        """A chat completion, its tokens entered into the books."""
        tokens = {"prompt_tokens": 600 + len(self.asked), "completion_tokens": 40}
        if not self.without_usage:
            self.tokens = (self.tokens[0] + tokens["prompt_tokens"], self.tokens[1] + tokens["completion_tokens"])
            fresh = Fraction(INPUT_PRICE) * (tokens["prompt_tokens"] - CACHED_TOKENS)
            cached, written = Fraction(self.cached_price) * CACHED_TOKENS, Fraction(OUTPUT_PRICE) * 40
            self.cost_usd += (fresh + cached + written) / 10**6
        return {
            "id": f"chatcmpl-{len(self.asked)}",
            "object": "chat.completion",
            "created": 0,
            "model": "small-model",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}],
            **({} if self.without_usage else {"usage": {**tokens, **DETAILS, "total_tokens": sum(tokens.values())}}),
        }


def _says(
    content: str | None, finish: str = "stop"
) -> Callable[[LlmServer, web.Request], Awaitable[web.StreamResponse]]:
    async def answer(server: LlmServer, request: web.Request) -> web.StreamResponse:
        return web.json_response(server.completion(content, finish))

    return answer


def _status(
    status: int, text: str = "", headers: Callable[[LlmServer], dict[str, str]] = lambda _: {}
) -> Callable[[LlmServer, web.Request], Awaitable[web.StreamResponse]]:
    async def answer(server: LlmServer, request: web.Request) -> web.StreamResponse:
        said = text or f"status {status}, key {server.asked[-1].key}"
        return web.json_response({"error": {"message": said}}, status=status, headers=headers(server))

    return answer


async def _says_content(server: LlmServer, request: web.Request) -> web.StreamResponse:
    return web.json_response(server.completion(server.content))


async def _sends(server: LlmServer, request: web.Request) -> web.StreamResponse:
    status, headers, body = server.sends
    return web.json_response(body, status=status, headers=headers)


async def _replies(server: LlmServer, request: web.Request) -> web.StreamResponse:
    return web.Response(body=server.replies[request[SYMBOL]], content_type="application/json")


async def _thinks(server: LlmServer, request: web.Request) -> web.StreamResponse:
    """Thinks for 900 tokens of the limit, and answers where there is room left."""
    body = server.asked[-1].body
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or 0
    answer = server.completion(json.dumps(VERDICT)) if limit > 950 else server.completion(None, "length")
    answer["choices"][0]["message"]["reasoning_content"] = "Let me think. " * 60
    return web.json_response(answer)


async def _html(server: LlmServer, request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html><body>Bad gateway</body></html>", content_type="text/html")


async def _html_as_json(server: LlmServer, request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html><body>Bad gateway</body></html>", content_type="application/json")


async def _half(server: LlmServer, request: web.Request) -> web.StreamResponse:
    """Announces an answer, sends half of it and hangs up."""
    whole = json.dumps(LlmServer.completion(LlmServer(asked=server.asked), json.dumps(VERDICT))).encode()
    response = web.StreamResponse(headers={"Content-Length": str(len(whole)), "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(whole[: len(whole) // 2])
    if request.transport is not None:
        request.transport.abort()
    return response


async def _half_json(server: LlmServer, request: web.Request) -> web.StreamResponse:
    """Sends half a JSON text as if it were whole."""
    whole = json.dumps(LlmServer.completion(LlmServer(asked=server.asked), json.dumps(VERDICT)))
    return web.Response(text=whole[: len(whole) // 2], content_type="application/json")


async def _huge(server: LlmServer, request: web.Request) -> web.StreamResponse:
    """Sends 10 MB, as fast as they are taken."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    server.sent_bytes = 0
    piece = b'{"choices": ["' + b"x" * 65_536
    while server.sent_bytes < HUGE_BYTES:
        await response.write(piece)
        server.sent_bytes += len(piece)
    return response


async def _bomb(server: LlmServer, request: web.Request) -> web.StreamResponse:
    """Sends compressed what nobody asked to be compressed."""
    response = web.json_response(server.completion("x" * HUGE_BYTES))
    response.enable_compression(web.ContentCoding.gzip)
    return response


async def _hang(server: LlmServer, request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3600)
    return web.Response()


async def _drip(server: LlmServer, request: web.Request) -> web.StreamResponse:
    """Begins at once and never ends: no pause between two bytes is long."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    for _ in range(36_000):
        await response.write(b" ")
        await asyncio.sleep(0.1)
    return response


async def _no_choices(server: LlmServer, request: web.Request) -> web.StreamResponse:
    """Says what it took and nothing else, as some do where a filter cut in."""
    return web.json_response({**server.completion(None), "choices": []})


async def _odd_charset(server: LlmServer, request: web.Request) -> web.StreamResponse:
    """Fails, in a charset that Python knows and that is none of text."""
    return web.Response(body=b"no", status=500, headers={"Content-Type": "text/plain; charset=idna"})


async def _redirect(server: LlmServer, request: web.Request) -> web.StreamResponse:
    status, where = server.redirects
    return web.Response(status=status, headers={"Location": where or str(request.url.with_path("/elsewhere"))})


WAYS: Final[dict[str, Callable[[LlmServer, web.Request], Awaitable[web.StreamResponse]]]] = {
    "good": _says(json.dumps(VERDICT)),
    "says": _says_content,
    "sends": _sends,
    "replies": _replies,
    "thinks": _thinks,
    "prose": _says("The market looks rather volatile to me, so be careful."),
    "wrong_label": _says(json.dumps({**VERDICT, "label": "SIDEWAYS"})),
    "long_label": _says(json.dumps({**VERDICT, "label": "S" * 100_000})),
    "probability_2": _says(json.dumps({**VERDICT, "p_up": 2})),
    "unfaithful": _says(json.dumps({**VERDICT, "observations": ["The imbalance was 7.77 times 41%."]})),
    "refusal": _says(None),
    "truncated": _says('{"label": "VOLA', "length"),
    "html": _html,
    "html_as_json": _html_as_json,
    "unauthorized": _status(401),
    "forbidden": _status(403),
    "not_found": _status(404),
    "rate_limited": _status(429, headers=lambda server: {"Retry-After": server.retry_after}),
    "error": _status(500),
    "unavailable": _status(503),
    "half": _half,
    "half_json": _half_json,
    "huge": _huge,
    "bomb": _bomb,
    "hang": _hang,
    "drip": _drip,
    "redirect": _redirect,
    "no_choices": _no_choices,
    "odd_charset": _odd_charset,
}


@contextmanager
def llm_server(*ways: str) -> Iterator[LlmServer]:
    """A server that answers in these ways, the last one for good; closed afterwards, whatever it is in the midst of."""
    server = LlmServer(ways=list(ways) or ["good"])
    loop = asyncio.new_event_loop()
    started, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        application = web.Application(client_max_size=HUGE_BYTES)
        application.router.add_post("/v1/chat/completions", server.answer)
        application.router.add_get("/v1/models", server.list_models)
        runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        started.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="llm-server", daemon=True)
    thread.start()
    assert started.wait(patient(10))
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(patient(10))
        loop.close()
