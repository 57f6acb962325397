"""What is asked of an endpoint beside the messages, and which of it is left out where the endpoint lacks it.

Compatible endpoints refuse what they do not have, each something else: the schema, the temperature, one name of the
limit or the other. One thing is varied at a time, so that an endpoint that lacks one keeps the rest.
"""

from __future__ import annotations

import json
from collections import Counter
from itertools import product
from typing import Any, Final, Literal, NamedTuple

from processors.regimes.verdict import RESPONSE_SCHEMA

SCHEMA: Final = {
    "type": "json_schema",
    "json_schema": {"name": "regime", "strict": True, "schema": RESPONSE_SCHEMA},
}
FORMATS: Final[dict[str, Any]] = {"schema": SCHEMA, "object": {"type": "json_object"}, "none": None}
LIMITS: Final = ("max_completion_tokens", "max_tokens", "")
"""Names of the limit of an answer's tokens, the newest first; none at all last."""
FRAME_TOKENS: Final = 100
"""What an endpoint puts around messages, at most."""
TOLD: Final = {
    "temperature": ("temperature",),
    "limit": ("max tokens", "output tokens", "output_tokens", "outputtokens"),
    "format": (
        *("response_format", "json_schema", "json_object", "json mode", "schema", "format", "strict", "permitted"),
        *("grammar", "guided", "structured", "additional_properties", "additionalproperties", "requested parameters"),
    ),
}
"""Words of a refusal that name what is lacking, the limit beside these by its own name; looked for in this order."""


class RequestShape(NamedTuple):
    """One way to ask.

    Attributes:
        format: How the answer's form is asked for: by schema, as an object, or by the instructions alone.
        temperature: Whether temperature 0 is asked for.
        limit: Name of the limit of the answer's tokens; empty where none is sent.
    """

    format: Literal["schema", "object", "none"] = "schema"
    temperature: bool = True
    limit: str = LIMITS[0]

    @property
    def name(self) -> str:
        """All of it as words, as it stands in rows."""
        return " ".join(filter(None, (self.format, "temperature" if self.temperature else "", self.limit)))

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
        }

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
"""Every way to ask, the one that leaves out least first."""
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
    return next((way for way in (*_named(shape, refusal), *BY_LOSS) if way not in tried), None)


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
        """The next way to ask after a refusal; None where every way was refused, after which all may be tried again."""
        self._refused.add(shape)
        found = varied(shape, said, frozenset(self._refused))
        if found is None:
            self._refused.clear()
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
        ways, tried = (*_named(shape, said), *self._doubted, *forms, *BY_LOSS), self._failed | self._refused
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
