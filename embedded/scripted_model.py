"""A stand-in for a language model, for those without one: an endpoint whose answers fixed rules write, and say so.

It shows the whole way of a question: asked, answered, judged, priced, stored. What it answers is worth nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web

from embedded.demo.plan import SCRIPTED
from schemas.errors import UsageError

LOOPBACK: Final = "127.0.0.1"
CHARACTERS_A_TOKEN: Final = 4
"""Usage is estimated so; a real endpoint counts."""
UNTOLD: Final = "UNKNOWN"


def scripted_answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """What is answered to a question, by fixed rules: the rules' own label, and a p_up that leans with the book.

    Args:
        question: The numbers that are shown to a model, as `processors/regimes/shown.py` names them.
    """
    imbalance = question.get("obi_l5_last")
    said = "no imbalance was shown" if imbalance is None else f"the five best levels' imbalance is {imbalance}"
    return {
        "label": question.get("rule_label", UNTOLD),
        "p_up": round(0.5 + 0.1 * (imbalance or 0.0), 3),
        "p_volatile": 0.5,
        "observations": [f"Scripted: {said}."],
        "risk": "No language model was asked: fixed rules wrote this.",
        "summary": "A scripted answer, to show the way of a question; it is worth nothing.",
    }


def completion(body: Mapping[str, Any]) -> dict[str, Any]:
    """A chat completion, as OpenAI-compatible endpoints write it.

    Args:
        body: The request.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: It asks nothing that this endpoint knows.
    """
    asked = [message["content"] for message in body["messages"]]
    content = json.dumps(scripted_answer(json.loads(asked[-1])))
    tokens = {"prompt_tokens": _tokens("".join(asked)), "completion_tokens": _tokens(content)}
    message = {"role": "assistant", "content": content}
    return {
        "id": "scripted",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": SCRIPTED,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {**tokens, "total_tokens": sum(tokens.values())},
    }


def application() -> web.Application:
    """The endpoint: `GET /v1/models` and `POST /v1/chat/completions`."""
    app = web.Application()
    app.router.add_get("/v1/models", _models)
    app.router.add_post("/v1/chat/completions", _complete)
    return app


@asynccontextmanager
async def listening(app: web.Application, port: int) -> AsyncIterator[int]:
    """Serve on loopback; gives the port.

    Args:
        app: What is served.
        port: Which; 0 takes a free one.

    Raises:
        UsageError: It is another program's.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, port).start()
    except OSError as error:
        await runner.cleanup()
        raise UsageError(
            f"{LOOPBACK}:{port} cannot be listened on ({error.strerror})", next_step="--port 0 takes a free one"
        ) from None
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def _models(_: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [{"id": SCRIPTED, "object": "model", "owned_by": "obflow"}]})


async def _complete(request: web.Request) -> web.Response:
    try:
        return web.json_response(completion(await request.json()))
    except (ValueError, LookupError, TypeError, AttributeError):
        said = "this scripted endpoint answers questions about regimes alone"
        error = {"message": said, "type": "invalid_request_error"}
        return web.json_response({"error": error}, status=400)


def _tokens(text: str) -> int:
    return max(1, len(text) // CHARACTERS_A_TOKEN)
