"""The model's answer, judged before anyone sees it: a label, two probabilities and short texts, or nothing.

A compatible endpoint's claim to follow a schema is not trusted: every answer is validated here. Texts are never
executed, never used in SQL, and escaped where they are shown.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from schemas.bounds import Share
from schemas.errors import MessageError
from schemas.messages import Outlook, Regime

MAX_OBSERVATIONS: Final = 3
MAX_OBSERVATION: Final = 160
MAX_RISK: Final = 200
MAX_SUMMARY: Final = 240
UP, DOWN = 0.55, 0.45
"""Beyond which a probability of a rise is a direction."""


class InvalidVerdict(MessageError):
    """The model answered with something that is not a verdict."""


class LlmVerdict(msgspec.Struct, frozen=True):
    """A validated answer.

    Attributes:
        label: One of the regimes.
        p_up: P(the mid rises over the coming whole minute | it changes); None of a plain judgement.
        p_volatile: P(that minute's realised variance exceeds the median of the 60 minutes before); None likewise.
        observations: Up to three, what it rests on; none of a plain judgement.
        risk: What could make it wrong.
        summary: One sentence for a person.
        confidence: P(the mid goes the likelier way | it changes); of a plain judgement, what it called so.
    """

    label: Regime
    p_up: float | None
    p_volatile: float | None
    observations: tuple[str, ...]
    risk: str
    summary: str
    confidence: float

    @property
    def outlook(self) -> Outlook | None:
        """The direction that `p_up` means."""
        if self.p_up is None:
            return None
        if self.p_up > UP:
            return Outlook.UP
        return Outlook.DOWN if self.p_up < DOWN else Outlook.FLAT


class _ProbableAnswer(msgspec.Struct, frozen=True):
    """An answer as it is asked for; fields beside these are passed over."""

    label: Regime
    p_up: Share
    p_volatile: Share
    observations: Annotated[list[str], msgspec.Meta(min_length=1)]
    risk: str
    summary: str

    def verdict(self) -> LlmVerdict:
        return LlmVerdict(
            self.label,
            self.p_up,
            self.p_volatile,
            tuple(_shown(each, MAX_OBSERVATION) for each in self.observations[:MAX_OBSERVATIONS]),
            _shown(self.risk, MAX_RISK),
            _shown(self.summary, MAX_SUMMARY),
            max(self.p_up, 1.0 - self.p_up),
        )


class _Plain(msgspec.Struct, frozen=True):
    """A plain judgement, as the first question asked for it: proxies and models tuned on those still answer so."""

    label: Regime
    confidence: Share
    sentence: str

    def verdict(self) -> LlmVerdict:
        return LlmVerdict(self.label, None, None, (), "", _shown(self.sentence, MAX_SUMMARY), self.confidence)


RESPONSE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "label": {"type": "string", "enum": [label.value for label in Regime]},
        "p_up": {"type": "number"},
        "p_volatile": {"type": "number"},
        "observations": {"type": "array", "items": {"type": "string"}},
        "risk": {"type": "string"},
        "summary": {"type": "string"},
    },
    "required": ["label", "p_up", "p_volatile", "observations", "risk", "summary"],
    "additionalProperties": False,
}
"""JSON schema of an answer, sent to endpoints that take one: no keyword that a strict one refuses. Bounds are ours."""


def parse_verdict(text: str | bytes) -> LlmVerdict:
    """Read and validate the model's text. What no terminal should be sent becomes a space; what is too long is cut.

    Raises:
        InvalidVerdict: not JSON, a label nobody knows, a probability outside [0, 1], a field that is missing.
    """
    try:
        return msgspec.json.decode(text, type=_ProbableAnswer).verdict()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        plain = _plain(text)
        if plain is None:
            raise InvalidVerdict(f"the answer is not a verdict ({error})") from error
        return plain


def _plain(text: str | bytes) -> LlmVerdict | None:
    """Read a plain judgement; an answer that has a probability of its own is none."""
    try:
        fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        return None if "p_up" in fields else msgspec.json.decode(text, type=_Plain).verdict()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _shown(text: str, most: int) -> str:
    """A text as it may stand anywhere; a schema cannot bound it, since strict endpoints take no such keyword."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return plain if len(plain) <= most else plain[: most - 1] + "…"
