"""What an endpoint sent back, judged: a verdict, or the one outcome that says why there is none.

Errors stand in many places: in the status, in the body of a status that says all is well, in a choice, as a sentence.
Wherever one stands it is read the same way. Nothing here asks, waits or tells the time.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from processors.llm.bodies import read_body
from processors.llm.contents import called_text, content_text, thinking_text
from processors.llm.error_places import error_in
from processors.llm.pricing import NOT_REPORTED, TokenUse
from processors.llm.refusals import BAD_REQUEST, read_refusal
from processors.regimes.unwrap import Wrapping, begins_to_think, first_object
from processors.regimes.verdict import InvalidVerdict, LlmVerdict, parse_verdict
from schemas.messages import CallOutcome

T = TypeVar("T", bound=msgspec.Struct)

MOST_CHOICES: Final = 8
"""One is asked for; of a relay's several the first may be empty."""
CUT: Final = frozenset({"length", "max_tokens", "max_output_tokens", "model_length"})
"""Reasons to finish that mean that the limit of tokens was reached."""


class TokenParts(msgspec.Struct):
    """What is read of the details of a usage."""

    cached_tokens: float | None = None
    reasoning_tokens: float | None = None


class TokenCounts(msgspec.Struct):
    """What is read of a completion's usage. Some endpoints write whole numbers as 600.0, or details of another kind.

    Kept input stands beside the details too, by either of two names; some name both sides as a newer interface does.
    """

    prompt_tokens: float | None = None
    completion_tokens: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    prompt_cache_hit_tokens: float | None = None
    cached_tokens: float | None = None
    prompt_tokens_details: msgspec.Raw = msgspec.Raw(b"null")
    completion_tokens_details: msgspec.Raw = msgspec.Raw(b"null")
    input_tokens_details: msgspec.Raw = msgspec.Raw(b"null")
    output_tokens_details: msgspec.Raw = msgspec.Raw(b"null")


@dataclass(frozen=True)
class LlmAnswer:
    """What became of one request.

    Attributes:
        outcome: In one word.
        detail: The cause, where it is not ok.
        status: HTTP status, where one was received; the code of an error that stood in the body.
        text: What the model said, or the body where it is no completion.
        verdict: The validated answer, where it is ok.
        wrapping: What stood around the verdict.
        unshown: Numbers in it that were not shown.
        tokens: As reported.
        retry_after_s: How long the endpoint asks to be left alone, seconds.
        is_exhausted: Whether the account has nothing left: asking again soon is of no use.
        ignored: The header that could not be meant; empty where there is none.
        key_id: Of the key it was sent with; empty where none was.
    """

    outcome: CallOutcome
    detail: str = ""
    status: int | None = None
    text: str = ""
    verdict: LlmVerdict | None = None
    wrapping: Wrapping = Wrapping.NONE
    unshown: tuple[str, ...] = ()
    tokens: TokenUse = NOT_REPORTED
    retry_after_s: float | None = None
    is_exhausted: bool = False
    ignored: str = ""
    key_id: str = ""


class _Said(NamedTuple):
    """A model's message: its answer, its thinking, why it ended, and what the answer was put in."""

    text: str
    thinking: str
    finish_reason: str
    wrapping: Wrapping


def read_answer(
    body: bytes, status: int = 200, headers: Iterable[tuple[str, str]] = (), now_s: float = 0.0
) -> LlmAnswer:
    """Judge the body of an answer whose status says that all is well.

    Args:
        body: As received.
        status: Its status.
        headers: Names and texts; read where the body holds an error.
        now_s: Seconds since the epoch.
    """
    found = LlmAnswer(CallOutcome.GARBAGE, status=status, text=body.removeprefix(BOM_UTF8).decode("utf-8", "replace"))
    try:
        decoded = read_body(body)
        fields = decoded if isinstance(decoded, Mapping) else {}
        found = replace(found, tokens=read_usage(msgspec.Raw(msgspec.json.encode(fields.get("usage")))))
        error = error_in(decoded)
        if error is not None:
            judged = _judged(error.code, error.text, headers, now_s)
            return replace(judged, text=found.text, tokens=found.tokens)
        said = _message(fields.get("choices") or [])
    except (msgspec.MsgspecError, UnicodeDecodeError, LookupError, TypeError, RecursionError) as error_:
        return replace(found, detail=f"no chat completion ({error_})")
    return _verdict(replace(found, outcome=CallOutcome.OK, text=said.text or said.thinking), said)


def read_error(status: int, text: str, headers: Iterable[tuple[str, str]] = (), now_s: float = 0.0) -> LlmAnswer:
    """Judge an answer whose status is not 200. Arguments as of `read_answer`."""
    return replace(_judged(status, text, headers, now_s), text=text)


def _judged(code: int | None, text: str, headers: Iterable[tuple[str, str]], now_s: float) -> LlmAnswer:
    """What an error means, by its number where it has one, else by its words; and how long to wait."""
    found = read_refusal(code, text, headers, now_s)
    if code is None and found.outcome is CallOutcome.REFUSED:
        code = BAD_REQUEST  # which is what an error without a number that refuses would have been
    return LlmAnswer(
        found.outcome,
        found.detail,
        code,
        retry_after_s=found.wait_s,
        is_exhausted=found.is_exhausted,
        ignored=found.ignored,
    )


def _message(choices: Any) -> _Said:  # noqa: ANN401 (any JSON)
    """What the first choice says that says anything. Raises LookupError or TypeError where none is one that is read."""
    first = _said(choices[0])
    if first.text or first.thinking or len(choices) == 1:
        return first
    others = (_said(choice) for choice in choices[1:MOST_CHOICES] if isinstance(choice, Mapping))
    return next((each for each in others if each.text), first)


def _said(choice: Any) -> _Said:  # noqa: ANN401 (any JSON)
    """What a choice says. Raises TypeError where it is none that is read."""
    if not isinstance(choice, Mapping):
        raise TypeError("a choice is no object")
    message = choice.get("message")
    message = choice.get("delta") if message is None else message
    if message is None and isinstance(choice.get("text"), str):  # of an older form of completions
        message = {"content": choice["text"]}
    if not isinstance(message, Mapping):
        raise TypeError("a choice's message is no object")
    content = message.get("content") or message.get("parsed")
    text, wrapping = content_text(content), Wrapping.PARTS if isinstance(content, list) else Wrapping.NONE
    if not text.strip() and (called := called_text(message)):
        text, wrapping = called, Wrapping.CALL
    refusal = message.get("refusal")
    text = text if text.strip() else refusal if isinstance(refusal, str) else ""
    return _Said(text, thinking_text(message), str(choice.get("finish_reason") or "").lower(), wrapping)


def _verdict(found: LlmAnswer, said: _Said) -> LlmAnswer:
    """Judge what the model said."""
    spent_on_it = 2 * (found.tokens.reasoning or 0) > (found.tokens.output or 0)
    is_thinking = bool(said.thinking) or begins_to_think(said.text) or spent_on_it
    if said.finish_reason in CUT:
        on_what = ", most of them on thinking" if is_thinking else ""
        detail = f"the model stopped at its limit of tokens (regimes.answer_tokens){on_what}"
        return replace(found, outcome=CallOutcome.TRUNCATED, detail=detail)
    if not said.text and not said.thinking:
        why = f" ({said.finish_reason})" if said.finish_reason else ""
        return replace(found, outcome=CallOutcome.INVALID, detail=f"the model said nothing{why}")
    written = first_object(said.text)
    if written is None and not said.text:  # some servers leave the answer where the thinking is
        written = first_object(said.thinking)
    try:
        verdict = parse_verdict(said.text if written is None else written.text)
    except InvalidVerdict as error:
        return replace(found, outcome=CallOutcome.INVALID, detail=str(error))
    wrapping = said.wrapping if written is None else written.wrapping or said.wrapping
    return replace(found, verdict=verdict, wrapping=wrapping if said.text else Wrapping.THINKING)


def read_usage(usage: msgspec.Raw) -> TokenUse:
    """Read what an answer took; null is what is not said, or cannot be. A part is at most its whole."""
    counts = _read(usage, TokenCounts)
    whole_in = _first_count(counts.prompt_tokens, counts.input_tokens)
    whole_out = _first_count(counts.completion_tokens, counts.output_tokens)
    of_input = _read(counts.prompt_tokens_details, TokenParts), _read(counts.input_tokens_details, TokenParts)
    of_output = _read(counts.completion_tokens_details, TokenParts), _read(counts.output_tokens_details, TokenParts)
    told = _first_count(*(part.cached_tokens for part in of_input))
    cached = _first_count(told, counts.prompt_cache_hit_tokens, counts.cached_tokens)
    reasoning = _first_count(*(part.reasoning_tokens for part in of_output))
    return TokenUse(whole_in, whole_out, _part(cached, whole_in), _part(reasoning, whole_out))


def _read(text: msgspec.Raw, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(text, type=kind | None, strict=False) or kind()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return kind()


def _part(part: int | None, whole: int | None) -> int | None:
    return part if part is not None and whole is not None and part <= whole else None


def _first_count(*told: float | None) -> int | None:
    return next((count for count in map(_count, told) if count is not None), None)


def _count(tokens: float | None) -> int | None:
    """A number of tokens that can be one."""
    return int(tokens) if tokens is not None and 0 <= tokens < 2**31 and tokens == int(tokens) else None
