"""What is asked of an endpoint beside the messages, and which of it is left out where the endpoint lacks it.

Compatible endpoints refuse what they do not have, each something else: the schema, the temperature, one name of the
limit or the other. One thing is varied at a time, so that an endpoint that lacks one keeps the rest.
"""

from __future__ import annotations

import json
from collections import Counter
from itertools import product
from typing import Any, Final, Literal, NamedTuple

from processors.regimes.prompt import Prompt
from processors.regimes.verdict import RESPONSE_SCHEMA

SCHEMA: Final = {
    "type": "json_schema",
    "json_schema": {"name": "regime", "strict": True, "schema": RESPONSE_SCHEMA},
}
FORMATS: Final[dict[str, Any]] = {"schema": SCHEMA, "object": {"type": "json_object"}, "none": None}
LIMITS: Final = ("max_completion_tokens", "max_tokens", "")
"""Names of the limit of an answer's tokens, the newest first; none at all last."""
ONE_MESSAGE, STREAMED = "one-message", "streamed"
"""How a way to ask is called in rows that has no system message, or asks for a stream."""
FRAME_TOKENS: Final = 100
"""What an endpoint puts around messages, at most."""
TOLD: Final = {
    "temperature": ("temperature",),
    "limit": ("max tokens", "output tokens", "output_tokens", "outputtokens"),
    "format": (
        *("response_format", "json_schema", "json_object", "json mode", "schema", "format", "strict", "permitted"),
        *("grammar", "guided", "structured", "additional_properties", "additionalproperties", "requested parameters"),
        *("json_validate_failed", "failed to generate json"),
    ),
    "stream": ("stream mode", "non-streaming", "stream parameter", "stream=true", "streaming is required"),
    "roles": (
        *("system role", "'system'", '\\"system\\"', "system message", "system prompt", "system instruction"),
        *("developer instruction", "roles must alternate", "roles are supported"),
    ),
}
"""Words of a refusal that name what is lacking, the limit beside these by its own name; looked for in this order."""
STREAM: Final = {"extra_body": {"stream": True, "stream_options": {"include_usage": True}}}
"""How a stream is asked for; what comes is read whole, as any answer."""


class RequestShape(NamedTuple):
    """One way to ask.

    Attributes:
        format: How the answer's form is asked for: by schema, as an object, or by the instructions alone.
        temperature: Whether temperature 0 is asked for.
        limit: Name of the limit of the answer's tokens; empty where none is sent.
        roles: Whether the instructions are a system message of their own, or stand before the question in its own.
        stream: Whether the answer is asked for in pieces, which some models alone give.
    """

    format: Literal["schema", "object", "none"] = "schema"
    temperature: bool = True
    limit: str = LIMITS[0]
    roles: bool = True
    stream: bool = False

    @property
    def name(self) -> str:
        """All of it as words, as it stands in rows."""
        others = {"temperature": self.temperature, ONE_MESSAGE: not self.roles, STREAMED: self.stream}
        told = [name for name, is_so in others.items() if is_so]
        return " ".join(filter(None, (self.format, *told, self.limit)))

    def fields(self, answer_tokens: int) -> dict[str, Any]:
        """What is sent beside the messages.

        Args:
            answer_tokens: Most tokens of the answer, the model's thinking among them.
        """
        form = FORMATS[self.format]
        return {
            **({"response_format": form} if form else {}),
            **({"temperature": 0} if self.temperature else {}),
            **({self.limit: answer_tokens} if self.limit else {}),
            **(STREAM if self.stream else {}),
        }

    def messages(self, prompt: Prompt) -> list[dict[str, str]]:
        """The messages of a question."""
        if not self.roles:
            return [{"role": "user", "content": f"{prompt.system}\n{prompt.user}"}]
        return [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]

    def most_tokens(self, text: str, answer_tokens: int) -> tuple[int, int]:
        """Most tokens that a request can take, in and out: each is at least a byte of what is sent.

        Args:
            text: Of its messages.
            answer_tokens: As of `fields`; holds only where a limit is sent.
        """
        sent = text + json.dumps(self.fields(answer_tokens))
        return len(sent.encode()) + FRAME_TOKENS, answer_tokens


FULL: Final = RequestShape()


def _loss(shape: RequestShape) -> tuple[int, int]:
    """How much a way to ask leaves out: how many things, then how far each."""
    steps = (list(FORMATS).index(shape.format), int(not shape.temperature), LIMITS.index(shape.limit))
    return sum(step > 0 for step in steps), sum(steps)


BY_LOSS: Final = tuple(
    sorted(
        (RequestShape(form, warm, limit) for form, warm, limit in product(FORMATS, (True, False), LIMITS)), key=_loss
    )
)
"""Every way to leave something out, that which leaves out least first; how messages go is varied where it is named."""
SURE: Final = 2


def varied(shape: RequestShape, refusal: str, tried: frozenset[RequestShape] = frozenset()) -> RequestShape | None:
    """The next way to ask after a refusal: one thing less, that which the refusal names where it names one.

    Args:
        shape: As it was asked.
        refusal: What the endpoint said.
        tried: Ways that were refused before.

    Returns:
        None where nothing is left to leave out.
    """
    return next((way for way in (*_named(shape, refusal), *_by_loss(shape)) if way not in tried), None)


def _by_loss(shape: RequestShape) -> list[RequestShape]:
    """Every way to leave something out, with messages as they go."""
    return [way._replace(roles=shape.roles, stream=shape.stream) for way in BY_LOSS]


def _named(shape: RequestShape, refusal: str) -> list[RequestShape]:
    """One thing less, for each that a refusal names."""
    said, less = refusal.lower(), _less(shape)
    words = {**TOLD, "limit": (*TOLD["limit"], shape.limit)}
    return [less[what] for what in words if what in less and any(word in said for word in words[what])]


def _less(shape: RequestShape) -> dict[str, RequestShape]:
    """Each thing that can be left out, or asked for by another name, and the way to ask that is left."""
    ways: dict[str, RequestShape] = {}
    if shape.format != "none":
        ways["format"] = shape._replace(format="object" if shape.format == "schema" else "none")
    if shape.temperature:
        ways["temperature"] = shape._replace(temperature=False)
    if shape.limit:
        ways["limit"] = shape._replace(limit=LIMITS[LIMITS.index(shape.limit) + 1])
    if not shape.stream:
        ways["stream"] = shape._replace(stream=True)
    if shape.roles:
        ways["roles"] = shape._replace(roles=False)
    return ways


class Ways:
    """Which way an endpoint takes, found out once.

    Attributes:
        best: The fullest way that is known to be taken, or not known to be refused.
    """

    def __init__(self) -> None:
        self.best = FULL
        self._refused: set[RequestShape] = set()
        self._failed: set[RequestShape] = set()
        self._doubted: Counter[RequestShape] = Counter()

    def refused(self, shape: RequestShape, said: str) -> RequestShape | None:
        """The next way to ask after a refusal; None where every way was refused, after which all may be tried again.

        What a refusal names is lacking, so that new questions leave it out at once; what it does not name is a guess,
        and they begin with what was asked before. Whether no limit at all will do shows only where it is taken.
        """
        self._refused.add(shape)
        found = varied(shape, said, frozenset(self._refused))
        if found is None:
            self._refused.clear()
            self.best = FULL
        elif shape == self.best and found.limit and found in _named(shape, said):
            self.best = found
        return found

    @property
    def first(self) -> RequestShape:
        """The way to ask a new question: the best one, or the next where that failed and nothing has worked since."""
        return self._unfailed(self.best, "") if self.best in self._failed else self.best

    def failed(self, shape: RequestShape, said: str = "") -> RequestShape:
        """The next way to ask after a server's failure: some fail at a schema, or at what else others refuse.

        What it names, else what worked after another failure, else the form of the answer, then one thing after the
        other, until something works.

        Args:
            shape: As it was asked.
            said: What the failure says, where it names something.
        """
        self._failed.add(shape)
        return self._unfailed(shape, said)

    def _unfailed(self, shape: RequestShape, said: str) -> RequestShape:
        forms = [self.best._replace(format=form) for form in ("object", "none")]
        ways, tried = (*_named(shape, said), *self._doubted, *forms, *_by_loss(shape)), self._failed | self._refused
        found = next((way for way in ways if way not in tried), None)
        if found is None:
            self._failed.clear()
        return found or self.best

    def worked(self, shape: RequestShape) -> None:
        """Remember a way that was taken; one that followed a failure only at the second time, for failures pass."""
        self._failed.clear()
        if shape == self.best:
            self._doubted.clear()
            return
        self._doubted[shape] += 1
        if self.best in self._refused or self._doubted[shape] >= SURE:
            self.best = shape
