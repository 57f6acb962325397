"""One request to the language model, and for every way it can end the one outcome. The only home of the OpenAI client.

Nothing is retried here: the client's own retries are off, and one deadline covers a request from its first byte to its
last. What comes back is bounded in size, taken uncompressed, and judged by what it is, never by what it claims to be.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx2
import msgspec
import openai

from obflow.response_headers import read_retry_after
from processors.regimes.prompt import Prompt
from processors.regimes.verdict import RESPONSE_SCHEMA, InvalidVerdict, LlmVerdict, parse_verdict
from schemas.masking import mask_credentials
from schemas.messages import CallOutcome

MAX_ANSWER_BYTES: Final = 256 * 1024
"""Beyond it an answer is not read on. A verdict has up to some 3,000 bytes, a completion around it some thousand."""
MAX_ANSWER_TOKENS: Final = 1_000
"""The longest verdict has some 1,000 characters, and in some languages a character is a token or nearly."""
SCHEMA: Final = {
    "type": "json_schema",
    "json_schema": {"name": "regime", "strict": True, "schema": RESPONSE_SCHEMA},
}
SHAPES: Final[tuple[dict[str, Any], ...]] = (
    {"response_format": SCHEMA, "temperature": 0, "max_completion_tokens": MAX_ANSWER_TOKENS},
    {"response_format": {"type": "json_object"}, "max_tokens": MAX_ANSWER_TOKENS},
    {},
)
"""What is asked for beside the messages, from most to least: compatible endpoints refuse what they lack."""


class AnswerRefused(openai.OpenAIError):
    """The answer is not one that is read: too large, or compressed. The client hands its own errors on as they are."""

    def __init__(self, cause: str, outcome: CallOutcome, status: int) -> None:
        super().__init__(cause)
        self.outcome = outcome
        self.status = status


class KeyUnusable(openai.OpenAIError):
    """There is no key that could be sent."""


class Message(msgspec.Struct):
    """What is read of a completion's message."""

    content: str | None = None
    refusal: str | None = None


class Choice(msgspec.Struct):
    """What is read of a completion's choice."""

    message: Message
    finish_reason: str | None = None


class TokenCounts(msgspec.Struct):
    """What is read of a completion's usage. Some endpoints write whole numbers as 600.0."""

    prompt_tokens: float | None = None
    completion_tokens: float | None = None


class Completion(msgspec.Struct):
    """What is read of a chat completion; everything else in it is passed over.

    Its parts are read each on its own: what an answer took is owed, whatever the answer is worth.
    """

    choices: msgspec.Raw = msgspec.Raw(b"[]")
    usage: msgspec.Raw = msgspec.Raw(b"null")


@dataclass(frozen=True)
class LlmAnswer:
    """What became of one request.

    Attributes:
        outcome: In one word.
        detail: The cause, where it is not ok.
        status: HTTP status, where one was received.
        text: What the model said, or the body where it is no completion.
        verdict: The validated answer, where it is ok.
        unshown: Numbers in it that were not shown.
        input_tokens, output_tokens: As reported.
        retry_after_s: How long the endpoint asks to be left alone, seconds.
        ignored: The header that could not be meant; empty where there is none.
    """

    outcome: CallOutcome
    detail: str = ""
    status: int | None = None
    text: str = ""
    verdict: LlmVerdict | None = None
    unshown: tuple[str, ...] = ()
    input_tokens: int | None = None
    output_tokens: int | None = None
    retry_after_s: float | None = None
    ignored: str = ""


class LlmClient:
    """An OpenAI-compatible endpoint.

    Args:
        base_url: Its address, up to and with its version.
        model: The model to ask.
        key: Gives the key; called before every request.

    Attributes:
        shape: Number of the shape that the endpoint takes, as far as is known.
    """

    def __init__(self, base_url: str, model: str, key: Callable[[], Awaitable[str]]) -> None:
        self._model = model
        self.shape = 0
        self._http = httpx2.AsyncClient(
            event_hooks={"response": [_bound]},
            follow_redirects=False,
            headers={"Accept-Encoding": "identity"},
            timeout=None,
        )
        self._openai = openai.AsyncOpenAI(
            base_url=base_url, api_key=key, max_retries=0, timeout=None, http_client=self._http
        )

    async def ask(self, prompt: Prompt, seconds: float, shape: int) -> LlmAnswer:
        """Send one request and wait for its end, at most so long.

        Args:
            prompt: The question.
            seconds: From now to the last byte of the answer.
            shape: Which of `SHAPES` to ask for.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self._answer(prompt, seconds, shape)
        except (TimeoutError, openai.APITimeoutError):
            return LlmAnswer(CallOutcome.TIMEOUT, f"no whole answer within {seconds:.3g} s")
        except AnswerRefused as error:
            return LlmAnswer(error.outcome, str(error), error.status)
        except KeyUnusable as error:
            return LlmAnswer(CallOutcome.UNAUTHORIZED, str(error))
        except Exception as error:  # whatever the libraries below raise, it is a failed question and no more
            return LlmAnswer(CallOutcome.UNREACHABLE, _cause(error))

    async def close(self) -> None:
        """Close the connections."""
        await self._openai.close()

    async def _answer(self, prompt: Prompt, seconds: float, shape: int) -> LlmAnswer:
        try:
            status, body = await self._send(prompt, SHAPES[shape], seconds)
        except openai.APIStatusError as error:
            return read_error(error.status_code, error.response.text, error.response.headers.get("retry-after", ""))
        self.shape = shape
        return read_answer(body, status)

    async def _send(self, prompt: Prompt, shape: dict[str, Any], seconds: float) -> tuple[int, bytes]:
        answer = await self._openai.chat.completions.with_raw_response.create(
            model=self._model,
            messages=[{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}],
            timeout=seconds,
            **shape,
        )
        return answer.status_code, answer.content


def read_answer(body: bytes, status: int = 200) -> LlmAnswer:
    """Judge the body of an answer whose status says that all is well."""
    found = LlmAnswer(CallOutcome.GARBAGE, status=status, text=body.decode("utf-8", "replace"))
    try:
        completion = msgspec.json.decode(body, type=Completion)
        usage = _tokens(completion.usage)
        found = replace(found, input_tokens=_count(usage.prompt_tokens), output_tokens=_count(usage.completion_tokens))
        choice = msgspec.json.decode(completion.choices, type=list[Choice])[0]
    except (msgspec.MsgspecError, UnicodeDecodeError, IndexError, RecursionError) as error:
        return replace(found, detail=f"no chat completion ({error})")
    found = replace(found, outcome=CallOutcome.OK, text=choice.message.content or choice.message.refusal or "")
    if choice.finish_reason == "length":
        return replace(found, outcome=CallOutcome.TRUNCATED, detail="the model stopped at its token limit")
    try:
        return replace(found, verdict=parse_verdict(found.text))
    except InvalidVerdict as error:
        return replace(found, outcome=CallOutcome.INVALID, detail=str(error))


def read_error(status: int, text: str, retry_after: str) -> LlmAnswer:
    """Judge an answer whose status is not 200."""
    if status in (401, 403):
        outcome = CallOutcome.UNAUTHORIZED
    elif status == 429:
        outcome = CallOutcome.RATE_LIMITED
    else:
        outcome = CallOutcome.SERVER_ERROR if status >= 500 else CallOutcome.REFUSED
    wait_s = read_retry_after(retry_after, time.time())
    ignored = "retry_after" if retry_after and wait_s is None else ""
    return LlmAnswer(outcome, f"status {status}", status, text, retry_after_s=wait_s, ignored=ignored)


def _tokens(usage: msgspec.Raw) -> TokenCounts:
    try:
        return msgspec.json.decode(usage, type=TokenCounts | None) or TokenCounts()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return TokenCounts()


def _count(tokens: float | None) -> int | None:
    """A number of tokens that can be one."""
    return int(tokens) if tokens is not None and 0 <= tokens < 2**31 and tokens == int(tokens) else None


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
