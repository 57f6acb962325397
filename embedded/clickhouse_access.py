"""Who may ask the engine: programs of this machine that show a token of its start, and no page in a browser."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from embedded.clickhouse_sql import QueryRefused
from obflow.engine_tokens import READER, WRITER, EngineTokens

AUTHENTICATION_FAILED: Final = 516
LOOPBACK_NAMES: Final = ("localhost",)
OWN_SITE: Final = ("none", "same-origin")


def refuse_browsers(headers: Mapping[str, str]) -> None:
    """Keep a web page that is open in a browser on this machine from reaching the database.

    A page of another origin is named by `Origin`, or by `Sec-Fetch-Site` where it sends no origin, as for an image; one
    whose name was made to point here is betrayed by `Host`.

    Args:
        headers: Of the request.

    Raises:
        QueryRefused: A page asks.
    """
    addresses = ["//" + headers.get("Host", "")]
    if "Origin" in headers:
        addresses.append(headers["Origin"])
    ours = headers.get("Sec-Fetch-Site", "none").lower() in OWN_SITE
    if not (ours and all(is_loopback(_host_of(address)) for address in addresses)):
        raise QueryRefused(AUTHENTICATION_FAILED, "The embedded engine answers programs on this machine only")


def may_write(headers: Mapping[str, str], fields: Mapping[str, str], tokens: EngineTokens) -> bool:
    """Find out who asks.

    Args:
        headers: Of the request.
        fields: Of its address.
        tokens: Of the engine's start.

    Returns:
        Whether the user may write, where it showed its token.

    Raises:
        QueryRefused: There is no such user, or that is not its token.
    """
    user, shown = _credentials(headers, fields)
    is_writer, is_reader = _is(shown, tokens.writer), _is(shown, tokens.reader)
    if not (is_writer and user in ("", WRITER)) and not (is_reader and user in ("", READER)):
        raise QueryRefused(
            AUTHENTICATION_FAILED,
            "Authentication failed: password is incorrect, or there is no user with such name. The embedded engine"
            " takes the token of its start, which lies in its data folder (AUTHENTICATION_FAILED)",
        )
    return is_writer


def _is(shown: str, token: str) -> bool:
    """Compare in the same time, however much of the token is right."""
    return hmac.compare_digest(shown.encode(errors="replace"), token.encode())


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine alone."""
    try:
        return host in LOOPBACK_NAMES or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host_of(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _credentials(headers: Mapping[str, str], fields: Mapping[str, str]) -> tuple[str, str]:
    """User and token; no user where the token alone was shown."""
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        return headers.get("X-ClickHouse-User") or WRITER, headers.get("X-ClickHouse-Key", "")
    scheme, _, shown = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return "", shown.strip()
    if scheme.lower() == "basic":
        return _basic(shown)
    if scheme:
        raise QueryRefused(AUTHENTICATION_FAILED, "Authentication other than Basic and Bearer is not in the engine")
    return fields.get("user") or WRITER, fields.get("password", "")


def _basic(encoded: str) -> tuple[str, str]:
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise QueryRefused(AUTHENTICATION_FAILED, "The Authorization header is not Basic credentials") from None
    return user or WRITER, password
