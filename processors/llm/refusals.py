"""What an endpoint means that refuses, by a status or by its words alone: what it is, and how long it wants to be left.

Pure: nothing here asks, waits or tells the time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from obflow.response_headers import LONGEST_WAIT_S, read_reset, read_wait
from processors.rollout.endings import LACKING
from schemas.messages import CallOutcome

EXHAUSTED: Final = re.compile(
    r"insufficient[ _](?:\w{1,20}[ _])?(?:quota|balance|credit|fund)|exceeded[ _](?:your[ _])?(?:current[ _])?quota"
    r"|quota[ _]exceeded|(?:quota|balance|credits?) (?:is |are )?(?:insufficient|not enough|too low|exhausted|used up)"
    r"|not enough (?:quota|balance|credit)|out of credits?|arrear|overdue|payment required"
    r"|(?:n.t have any|no|used all(?: your| available)?) credits|purchase (?:more )?credits|account.{0,40}suspended"
    r"|billing[ _](?:hard[ _])?(?:limit|not[ _]active)|(?:spend(?:ing)?|credit) limit"
    r"|欠费|余额不足|额度(?:不足|已?用尽|已?用完|已?耗尽)",
    re.IGNORECASE,
)
"""What endpoints say where the account has nothing left; where they name a wait beside it, it is a limit in time."""
FREE_TIER: Final = re.compile(r"free[ _]?tier\b.{0,80}exhausted|FreeTierOnly", re.IGNORECASE | re.DOTALL)
"""What a key is refused with where no more than a free share was paid for."""
THROTTLED: Final = re.compile(r"throttling", re.IGNORECASE)
"""What some call a limit in time whose sentence speaks of a quota."""
ALWAYS_EXHAUSTED: Final = ("insufficient_quota", "insufficient_user_quota")
"""Codes that mean so whatever else is said."""
LIMITED: Final = (
    r"rate.?limit|too many|overload|capacity|throttl|busy|exhausted|quota|concurren|limit.?reached"
    r"|try.{0,9}again later|并发|频率|限流|限速|繁忙|过载|访问量过大|稍后再试"
)
BAD_KEY: Final = re.compile(
    r"(?:invalid|incorrect|wrong|expired|missing|bad)[ _-]{1,3}(?:api[ _-]?)?key"
    r"|api[ _-]?key(?: provided)?(?: is|:)? (?:not valid|invalid|incorrect|expired|missing|required)",
    re.IGNORECASE,
)
"""What some say with status 400 where others say 401."""
FILTERED: Final = re.compile(
    r"content[ _-]?(?:filter|management|policy|moderation)|ResponsibleAI|moderation|flagged|safety (?:system|policy)"
    r"|data_inspection|inappropriate content|敏感|违规|不安全",
    re.IGNORECASE,
)
"""What endpoints say where they will not have what is said, whatever way it is asked in."""
NO_MODEL: Final = re.compile(
    r"\bmodel\b.{0,80}(?:not[ _]exist|not[ _]found|doesn't exist|unknown|decommissioned|retired)"
    r"|(?:unknown|invalid|no such|unavailable)[ _]model|not a valid model|model identifier is invalid"
    r"|model_(?:not_(?:found|available)|decommissioned)|unable to access model|unexpected endpoint"
    r"|no models? (?:is |are )?(?:currently )?loaded|failed to load model|exceeds? the available context",
    re.IGNORECASE | re.DOTALL,
)
"""What they say where the model, or the address, is not there or not fit: in no other way either."""
PARAMETERS: Final = re.compile(r"requested parameters|support.{0,40}parameters?", re.IGNORECASE | re.DOTALL)
"""What a relay says with status 404 where none of its providers takes what was asked for."""
TOO_MANY_TOKENS: Final = re.compile(
    r"max\w{0,12}[ _]tokens\b.{0,80}(?:too (?:large|high|big)|at most|less than|exceed|maximum|<=)",
    re.IGNORECASE | re.DOTALL,
)
WORDS: Final = (
    (CallOutcome.RATE_LIMITED, re.compile(LIMITED, re.IGNORECASE)),
    (
        CallOutcome.UNAUTHORIZED,
        re.compile(r"unauthor|authenticat|api.?key|permission|(?<!extra_)forbidden|令牌|密钥|鉴权", re.IGNORECASE),
    ),
    (
        CallOutcome.REFUSED,
        re.compile(
            r"invalid.?request|bad.?request|not.?found|unsupported|not (?:supported|permitted)|unexpected endpoint",
            re.IGNORECASE,
        ),
    ),
)
"""What the words of an error without a number mean; anything else is the server's fault."""
MAX_ERROR_CHARACTERS: Final = 4_000
BAD_REQUEST: Final = 400
PASSING_STATUSES: Final = (408, 409, 423, 424, 425, 499)
"""Failures that pass among the statuses that refuse: 423 and 424 while a model loads or its generation fails."""
PAGE: Final = re.compile(r"\s{0,99}<(?:!doctype|html|head|center)", re.IGNORECASE)
"""A page, of whoever stands before the endpoint: it says nothing of the key."""
LIMITS: Final = (420, 429, 498)


class ErrorMeaning(NamedTuple):
    """What an error means.

    Attributes:
        outcome: In one word.
        detail: The cause.
        wait_s: How long the endpoint asks to be left alone, seconds; null where it does not say.
        is_exhausted: Whether the account has nothing left.
        ignored: The header that could not be meant; empty where there is none.
    """

    outcome: CallOutcome
    detail: str
    wait_s: float | None = None
    is_exhausted: bool = False
    ignored: str = ""


def read_refusal(code: int | None, text: str, headers: Iterable[tuple[str, str]], now_s: float) -> ErrorMeaning:
    """Read an error.

    Args:
        code: Its status, or the number that stands in it; null where it has none.
        text: All that it says.
        headers: Names and texts.
        now_s: Seconds since the epoch.
    """
    told = list(headers)
    text = text[:MAX_ERROR_CHARACTERS]
    wait_s = read_wait(told, text, now_s, LONGEST_WAIT_S) or None  # none at all cannot be meant by who refuses
    detail = f"status {code}" if code is not None else "an error in the answer"
    if code in LACKING and FILTERED.search(text):
        return ErrorMeaning(CallOutcome.REFUSED, f"{detail}: it will not have what was said, by its own filter")
    if is_exhausted(code, text, wait_s):
        return ErrorMeaning(CallOutcome.RATE_LIMITED, f"{detail}: nothing is left of the account", is_exhausted=True)
    asked = any(name.lower() == "retry-after" and value for name, value in told)
    ignored = "retry_after" if asked and wait_s is None else ""
    outcome = _by_words(text) if code is None else _by_status(code, text)
    if outcome is CallOutcome.RATE_LIMITED and wait_s is None:
        wait_s = read_reset(told, now_s)
    if outcome is CallOutcome.REFUSED and TOO_MANY_TOKENS.search(text):
        detail += ": it takes no limit of tokens so high (regimes.answer_tokens)"
    return ErrorMeaning(outcome, detail, wait_s, ignored=ignored)


def is_exhausted(code: int | None, text: str, wait_s: float | None) -> bool:
    """Whether an error says that the account has nothing left, and not only for a while."""
    if code == 402 or any(word in text for word in ALWAYS_EXHAUSTED) or FREE_TIER.search(text):
        return True
    return wait_s is None and EXHAUSTED.search(text) is not None and not THROTTLED.search(text)


def is_lacking(status: int | None, text: str) -> bool:
    """Whether a refusal is of what was asked for beside the messages: a schema, a temperature, a limit by its name.

    Args:
        status: Of the refusal.
        text: All that it says.
    """
    if status == 404:
        return PARAMETERS.search(text[:MAX_ERROR_CHARACTERS]) is not None
    said = text[:MAX_ERROR_CHARACTERS]
    return status in LACKING and not FILTERED.search(said) and not NO_MODEL.search(said)


def _by_status(status: int, text: str) -> CallOutcome:
    if status == 403 and FILTERED.search(text):
        return CallOutcome.REFUSED
    if status == 403 and PAGE.match(text):
        return CallOutcome.SERVER_ERROR
    if status in (401, 403) or (status == BAD_REQUEST and BAD_KEY.search(text)):
        return CallOutcome.UNAUTHORIZED
    if status in LIMITS:
        return CallOutcome.RATE_LIMITED
    return CallOutcome.SERVER_ERROR if status >= 500 or status in PASSING_STATUSES else CallOutcome.REFUSED


def _by_words(text: str) -> CallOutcome:
    return next((outcome for outcome, words in WORDS if words.search(text)), CallOutcome.SERVER_ERROR)
