"""The endpoint's list of models, which is free: whether it answers, takes a key and has a model.

One plain request, so that neither doctor nor whoever imports its checks loads the model's client.
"""

from __future__ import annotations

import asyncio
import http.client
import json
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import urlsplit

SECONDS: Final = 5.0
MAX_BYTES: Final = 1 << 20
DENIED: Final = (401, 403)


class ListAnswer(NamedTuple):
    """What an endpoint answered to the question for its models.

    Attributes:
        status: HTTP status.
        models: Their names; empty where it does not say.
    """

    status: int
    models: tuple[str, ...] = ()


class KeyValidity(StrEnum):
    """What an endpoint says of a key."""

    ACCEPTED = "accepted"
    """It lists its models."""
    DENIED = "denied"
    """401 or 403."""
    UNKNOWN = "unknown"
    """It gave no answer, or one that says nothing of the key."""


async def validate_key(url: str, key: str, seconds: float = SECONDS) -> KeyValidity:
    """Ask an endpoint whether it takes a key, at most so long.

    Args:
        url: The endpoint, up to and with its version.
        key: The key.
        seconds: Longest time.
    """
    try:
        answer = await asyncio.wait_for(asyncio.to_thread(ask_models, url, key, seconds), seconds)
    except (OSError, TimeoutError, http.client.HTTPException):
        return KeyValidity.UNKNOWN
    if answer.status == http.client.OK:
        return KeyValidity.ACCEPTED
    return KeyValidity.DENIED if answer.status in DENIED else KeyValidity.UNKNOWN


def ask_models(url: str, key: str, seconds: float = SECONDS) -> ListAnswer:
    """Ask for the list of models: one request, no redirect, a bounded answer.

    Args:
        url: The endpoint, up to and with its version.
        key: Its key; empty where it needs none.
        seconds: Longest wait for any part of the answer.

    Raises:
        OSError: It does not answer.
        HTTPException: It does not speak HTTP.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=seconds)
    try:
        connection.request("GET", f"{parts.path}/models", headers={"Authorization": f"Bearer {key}"} if key else {})
        answer = connection.getresponse()
        return ListAnswer(answer.status, _names(answer.read(MAX_BYTES)))
    finally:
        connection.close()


def _names(body: bytes) -> tuple[str, ...]:
    try:
        listed = json.loads(body)["data"]
        return tuple(str(one["id"]) for one in listed)
    except (ValueError, KeyError, TypeError):
        return ()
