"""The model's answer, judged before anyone sees it: an enum, a bounded number and a short text, or nothing.

A compatible endpoint's claim to follow a schema is not trusted: every answer is validated here. The text is never
executed, never used in SQL, and escaped where it is shown.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from schemas.errors import MessageError
from schemas.messages import Regime

MAX_SENTENCE = 300


class InvalidVerdict(MessageError):
    """The model answered with something that is not a verdict."""


class LlmVerdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A validated answer.

    Attributes:
        label: One of the regimes.
        confidence: In [0, 1].
        sentence: One sentence for a person.
    """

    label: Regime
    confidence: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
    sentence: Annotated[str, msgspec.Meta(max_length=MAX_SENTENCE)]


RESPONSE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "label": {"type": "string", "enum": [label.value for label in Regime]},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "sentence": {"type": "string", "maxLength": MAX_SENTENCE},
    },
    "required": ["label", "confidence", "sentence"],
    "additionalProperties": False,
}
"""JSON schema of an answer, sent to endpoints that take one."""


def parse_verdict(text: str | bytes) -> LlmVerdict:
    """Read and validate the model's text. What no terminal should be sent becomes a space.

    Raises:
        InvalidVerdict: not JSON, a label nobody knows, a confidence outside [0, 1], a text too long, extra fields.
    """
    try:
        verdict = msgspec.json.decode(text, type=LlmVerdict)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidVerdict(f"the answer is not a verdict ({error})") from error
    shown = "".join(sign if sign.isprintable() else " " for sign in verdict.sentence)
    return msgspec.structs.replace(verdict, sentence=shown)
