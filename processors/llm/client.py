"""One request to the language model, and for every way it can end the one outcome. The only home of the OpenAI client.

Nothing is retried here: the client's own retries are off, and one deadline covers a request from its first byte to its
last. What comes back is bounded in size, taken uncompressed, and judged by what it is, never by what it claims to be.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

import httpx2
import openai

from processors.llm.completion import LlmAnswer, read_answer, read_error
from processors.llm.key_ring import ModelKey
from processors.llm.shapes import RequestShape
from processors.regimes.prompt import Prompt
from schemas.masking import mask_credentials
from schemas.messages import CallOutcome

MAX_ANSWER_BYTES: Final = 256 * 1024
"""Beyond it an answer is not read on. A verdict has up to some 3,000 bytes, a completion around it some thousand."""

SENT_WITH_EACH: Final = "sent-with-each-request"
"""In the place of a key of the client's own: each request brings its own."""


class AnswerRefused(openai.OpenAIError):
    """The answer is not one that is read: too large, or compressed. The client hands its own errors on as they are."""

    def __init__(self, cause: str, outcome: CallOutcome, status: int) -> None:
        super().__init__(cause)
        self.outcome = outcome
        self.status = status


class LlmClient:
    """An OpenAI-compatible endpoint.

    Args:
        base_url: Its address, up to and with its version.
        model: The model to ask.
        key: Gives the key that holds; called before every request.
        answer_tokens: Most tokens of an answer, the model's thinking among them.
    """

    def __init__(self, base_url: str, model: str, key: Callable[[], Awaitable[ModelKey]], answer_tokens: int) -> None:
        self._model = model
        self._key = key
        self._answer_tokens = answer_tokens
        self._http = httpx2.AsyncClient(
            event_hooks={"response": [_bound]},
            follow_redirects=False,
            headers={"Accept-Encoding": "identity"},
            timeout=None,
        )
        self._openai = openai.AsyncOpenAI(
            base_url=base_url, api_key=SENT_WITH_EACH, max_retries=0, timeout=None, http_client=self._http
        )

    async def ask(self, prompt: Prompt, seconds: float, shape: RequestShape, key: ModelKey | None = None) -> LlmAnswer:
        """Send one request and wait for its end, at most so long.

        Args:
            prompt: The question.
            seconds: From now to the last byte of the answer.
            shape: What to ask for beside it.
            key: What to send it with; null is the key that holds. It keeps it until it ends.
        """
        used = key or await self._key()
        return replace(await self._ended(prompt, seconds, shape, used), key_id=used.id)

    async def _ended(self, prompt: Prompt, seconds: float, shape: RequestShape, key: ModelKey) -> LlmAnswer:
        try:
            async with asyncio.timeout(seconds):
                return await self._answer(prompt, seconds, shape, key)
        except (TimeoutError, openai.APITimeoutError):
            return LlmAnswer(CallOutcome.TIMEOUT, f"no whole answer within {seconds:.3g} s")
        except AnswerRefused as error:
            return LlmAnswer(error.outcome, str(error), error.status)
        except Exception as error:  # whatever the libraries below raise, it is a failed question and no more
            return LlmAnswer(CallOutcome.UNREACHABLE, _cause(error))

    async def close(self) -> None:
        """Close the connections."""
        await self._openai.close()

    async def _answer(self, prompt: Prompt, seconds: float, shape: RequestShape, key: ModelKey) -> LlmAnswer:
        try:
            answer = await self._send(prompt, shape, seconds, key)
        except openai.APIStatusError as error:
            refused = error.response
            return read_error(error.status_code, refused.text, refused.headers.multi_items(), time.time())
        return read_answer(answer.content, answer.status_code, answer.headers.multi_items(), time.time())

    async def _send(self, prompt: Prompt, shape: RequestShape, seconds: float, key: ModelKey) -> Any:  # noqa: ANN401 (the client's answer, raw)
        return await self._openai.chat.completions.with_raw_response.create(
            model=self._model,
            messages=shape.messages(prompt),  # type: ignore[arg-type] # the client's union of messages
            timeout=seconds,
            extra_headers={"Authorization": f"Bearer {key.text}"},
            **shape.fields(self._answer_tokens),
        )


async def _bound(response: httpx2.Response) -> None:
    """Have an answer read to the bound and no further. Called before any of its body is."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise AnswerRefused(f"compressed by {encoding[:20]}, unasked", CallOutcome.GARBAGE, response.status_code)
    response.encoding = "utf-8"  # whatever it claims: Python knows charsets that are none of text
    response.stream = _Bounded(response.stream, response.status_code)


class _Bounded(httpx2.AsyncByteStream):
    """A body that ends in an error where it is too long."""

    def __init__(self, body: Any, status: int) -> None:  # noqa: ANN401 (the client's union of streams)
        self._body = body
        self._status = status

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        async for chunk in self._body:
            read += len(chunk)
            if read > MAX_ANSWER_BYTES:
                raise AnswerRefused(f"longer than {MAX_ANSWER_BYTES} bytes", CallOutcome.TOO_LARGE, self._status)
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()


def _cause(error: Exception) -> str:
    inner = error.__cause__ or error
    return mask_credentials(f"{type(inner).__name__}: {' '.join(str(inner).split())}")
