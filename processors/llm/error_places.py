"""Finds the error in a body whose status may say that all is well, wherever an endpoint puts it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

SPOKEN: Final = (
    *("error", "detail", "message", "errors", "msg", "error_msg", "error_message", "error_description", "base_resp"),
    *("fault", "exception", "reason", "title"),
)
"""Fields of a body without a choice that say why there is none, whatever their capitals."""
PASSED_OVER: Final = ("choices", "usage", "id", "model", "object", "created")
"""Fields of such a body that say nothing of an error."""
FAILED: Final = ("error", "network_error", "insufficient_system_resource", "abort")
"""Reasons to finish that mean that the answer was given up half way."""
NUMBERED: Final = ("code", "status", "status_code", "statuscode", "http_code", "http_status", "codeid")
"""Fields in which the number of an error stands, whatever their capitals."""
DEEP: Final = 3
"""Layers of an error in which its number is looked for."""
NOTHING: Final = ("", "0", "200", "ok", "success", "succeeded", "none", "null", "false", "no error")
"""What some write where an error would stand."""


class FoundError(NamedTuple):
    """An error that stood in a body: its number, where it has one that is a status, and all it says."""

    code: int | None
    text: str


def error_in(body: Any) -> FoundError | None:  # noqa: ANN401 (any JSON)
    """The error that a body holds, in the places where endpoints put one; None where it holds none."""
    if not isinstance(body, Mapping):
        return None
    choices = body.get("choices")
    inner = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], Mapping) else {}
    message = inner.get("message")
    beside = message.get("error") if isinstance(message, Mapping) else None
    says_error = "error" in (body.get("object"), body.get("type"), body.get("status"))
    ended_so = {"finish_reason": inner["finish_reason"]} if inner.get("finish_reason") in FAILED else None
    places = (body.get("error"), inner.get("error"), beside, body if says_error else None, ended_so)
    error = next((place for place in places if says_something(place)), None)
    if error is None and not choices:
        error = spoken_error(body)
    return None if error is None else FoundError(status_of(error, DEEP) or status_of(body), _text(error))


def spoken_error(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """All that a body without a choice says, where it says why there is none, or has the number of an error."""
    said = {name: value for name, value in body.items() if name not in PASSED_OVER and value}
    speaks = any(_speaks(name, value) for name, value in said.items())
    return said if speaks or status_of(body) is not None else None


def says_something(error: Any) -> bool:  # noqa: ANN401 (any JSON)
    """Whether an error is one: some endpoints send the fields of one that is not there, or that all is well in them."""
    values = error.values() if isinstance(error, Mapping) else (error,)
    return any(value and str(value).strip().lower() not in NOTHING for value in values)


def status_of(fields: Any, layers: int = 0) -> int | None:  # noqa: ANN401 (any JSON)
    """The first field that can be a status of an error; so many layers deeper, too, and in sentences that are JSON."""
    if isinstance(fields, str):
        fields = _quoted(fields)
    inside = fields.values() if isinstance(fields, Mapping) else fields if isinstance(fields, list) else ()
    named = {name.lower(): value for name, value in fields.items()} if isinstance(fields, Mapping) else {}
    own = (_number(named.get(name)) for name in NUMBERED)
    found = next((value for value in own if value is not None and 400 <= value <= 599), None)
    if found is not None or layers == 0:
        return found
    return next((code for each in inside if (code := status_of(each, layers - 1)) is not None), None)


def _speaks(name: str, value: Any) -> bool:  # noqa: ANN401 (any JSON)
    """Whether a field says that something failed: by its own name, or as what is around an error."""
    inside = value.items() if isinstance(value, Mapping) else ()
    around_one = any(each.lower() == "error" and says_something(error) for each, error in inside)
    return around_one or (name.lower() in SPOKEN and says_something(value))


def _quoted(sentence: str) -> Mapping[str, Any]:
    """The JSON that a sentence consists of, as a relay hands on what it was told; empty where it is none."""
    try:
        found = msgspec.json.decode(sentence) if sentence[:1] == "{" else {}
    except (msgspec.MsgspecError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}


def _text(error: Any) -> str:  # noqa: ANN401 (any JSON)
    return msgspec.json.encode(error).decode("utf-8", "replace")


def _number(value: Any) -> int | None:  # noqa: ANN401 (any JSON)
    if isinstance(value, str) and value.isdecimal() and value.isascii():
        return int(value[:9])
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
