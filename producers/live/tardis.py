"""Where tardis-machine is, and the key that whoever stands before it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from obflow.settings import Settings
from producers.contract import Exchange
from producers.exchanges import EXCHANGES
from producers.live.rest import is_loopback
from producers.live.venue_socket import NO_HEADERS
from producers.settings import TardisSettings
from producers.tardis.stream import MachineStream
from producers.tardis.venues import VENUES
from schemas.errors import ExchangeUnreachable, SettingsError, UsageError

DEFAULT_PORTS = {"http": 80, "https": 443}
CHECK_SECONDS = 5.0
HEALTH_PATH = "/health-check"
REFUSING = (401, 403)


def machine_stream(exchange: str, settings: Settings) -> MachineStream:
    """Make a venue of an exchange of Tardis, streamed by the machine that the settings name.

    Raises:
        UsageError: The exchange is none of our venues.
        SettingsError: The address is none.
    """
    return MachineStream(venue_at_tardis(exchange), exchange, stream_url(settings.of(TardisSettings)))


def venue_at_tardis(exchange: str) -> Exchange:
    """Give our venue of an exchange of Tardis.

    Raises:
        UsageError: There is none.
    """
    if exchange not in VENUES:
        raise UsageError(f"Tardis has no exchange {exchange} known here", next_step=f"there are {', '.join(VENUES)}")
    return EXCHANGES[VENUES[exchange]]


def stream_url(tardis: TardisSettings) -> str:
    """Give the address of the machine's WebSockets: one port above its HTTP, unless it is set.

    Raises:
        SettingsError: The address is none.
    """
    if tardis.stream_url:
        return tardis.stream_url
    try:
        parts = urlsplit(tardis.base_url)
        port = (parts.port or DEFAULT_PORTS[parts.scheme]) + 1
    except (ValueError, KeyError):
        raise SettingsError(f"tardis.base_url is no address ({tardis.base_url})", next_step=_WRITE) from None
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return urlunsplit(("wss" if parts.scheme == "https" else "ws", f"{host}:{port}", parts.path.rstrip("/"), "", ""))


def key_headers(tardis: TardisSettings) -> Mapping[str, str]:
    """Give the headers that carry the key; none where none is set.

    Raises:
        SettingsError: The file holds no key.
    """
    if tardis.api_key_file is None:
        return NO_HEADERS
    key = key_in(tardis.api_key_file)
    if not key:
        raise SettingsError(
            f"tardis.api_key_file holds no key ({tardis.api_key_file})",
            next_step="write the key into it, and nothing else",
        )
    return {"Authorization": f"Bearer {key}"}


async def require_access(tardis: TardisSettings) -> None:
    """See that the machine lets us in, before anything is asked of it; one that does not answer is waited for later.

    Raises:
        ExchangeUnreachable: It refuses the key, or wants one.
    """
    url = tardis.base_url.rstrip("/") + HEALTH_PATH
    timeout = aiohttp.ClientTimeout(total=CHECK_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=not is_loopback(url)) as session,
            session.get(url, headers=key_headers(tardis), allow_redirects=False) as answer,
        ):
            refuse_where_barred(answer.status, tardis)
    except (aiohttp.ClientError, TimeoutError, OSError):
        return


def refuse_where_barred(status: int, tardis: TardisSettings, url: str = "") -> None:
    """Raise ExchangeUnreachable where an answer says that the key does not open it; by default the machine."""
    if status not in REFUSING:
        return
    why = "refuses the key" if tardis.api_key_file else "wants a key, and none is set"
    raise ExchangeUnreachable(f"{url or tardis.base_url} {why} (HTTP {status})", next_step="check tardis.api_key_file")


_WRITE = "write http://HOST:PORT"


def key_in(path: Path) -> str:
    """Read the key that a file holds; empty where it holds none, or cannot be read."""
    try:
        key = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return key if key.isascii() and key.isprintable() and " " not in key else ""
