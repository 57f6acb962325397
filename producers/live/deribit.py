"""Deribit with credentials: they are tried once before anything is produced with them."""

from __future__ import annotations

import structlog
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from obflow.settings import Settings
from producers.contract import Exchange
from producers.exchanges.deribit.login import DeribitLogin
from producers.exchanges.deribit.venue import DERIBIT, RAW_DERIBIT
from producers.live.login import UNLOGGED, LoginRefused, SocketLogin
from producers.live.rest import is_loopback
from producers.live.tardis import key_in
from producers.live.tasks import Provider
from producers.live.venue_socket import OPEN_SECONDS
from producers.settings import DeribitSettings, ProducerSettings
from schemas.errors import ExchangeUnreachable, SettingsError

log = structlog.get_logger(__name__)


def deribit_login(chosen: DeribitSettings) -> DeribitLogin | None:
    """Make the login that the settings name; None where they name none.

    Raises:
        SettingsError: Only one half is there, or the file holds no secret.
    """
    if not chosen.client_id and chosen.client_secret_file is None:
        return None
    secret = key_in(chosen.client_secret_file) if chosen.client_secret_file else ""
    if not chosen.client_id or not secret:
        raise SettingsError(
            "deribit.client_id and a secret in deribit.client_secret_file go together, and one is missing",
            next_step="set both, or neither",
        )
    return DeribitLogin(chosen.client_id, secret)


async def open_deribit(settings: Settings) -> tuple[Exchange, Provider | None]:
    """Give the venue: raw where there are credentials, which it has taken once; a venue that is away is waited for.

    Raises:
        SettingsError: As of `deribit_login`.
        LoginRefused: It refuses them, and nothing says that books of 100 ms do instead.
    """
    chosen = settings.of(DeribitSettings)
    login = deribit_login(chosen)
    if login is None:
        return DERIBIT, None
    url = settings.of(ProducerSettings).websocket_url or DERIBIT.endpoints.websocket
    try:
        await _try(login, url.rstrip("/") + DERIBIT.websocket_path(""))
    except LoginRefused as error:
        if not chosen.fallback:
            raise
        log.warning("login_refused", venue=DERIBIT.venue, error=str(error), instead="100ms")
        return DERIBIT, None
    except (ExchangeUnreachable, WebSocketException, OSError, TimeoutError) as error:
        log.warning("login_not_tried", venue=DERIBIT.venue, error=str(error))
    return RAW_DERIBIT, Provider(DERIBIT.venue, login=login)


async def _try(login: DeribitLogin, url: str) -> None:
    async with connect(
        url, open_timeout=OPEN_SECONDS, close_timeout=1.0, logger=UNLOGGED, proxy=None if is_loopback(url) else True
    ) as socket:
        await SocketLogin(login, DERIBIT.venue).begin(socket, _nothing)


async def _nothing(raw: bytes) -> None:
    del raw
