"""A relay of Tardis's data: its key is verified before use, its credentials are renewed, its quota is told."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import urlencode

import aiohttp
import structlog

from obflow.backoff import Backoff
from obflow.clock import Clock
from obflow.metrics import Metrics
from obflow.response_headers import LONGEST_WAIT_S, read_wait
from obflow.settings import Settings
from producers.live.rest import body_within, is_loopback
from producers.live.source import VenueSource
from producers.live.tardis import REFUSING, key_in, venue_at_tardis
from producers.live.tasks import Provider
from producers.settings import RelaySettings
from producers.tardis.relay import CHANNELS, Credentials, Quota, RelayStream, read_credentials, read_quota
from producers.tardis.venues import RELAY_PREFIX
from schemas.errors import DecodeError, ExchangeUnreachable, SettingsError
from schemas.units import NS_PER_SECOND

REQUEST_SECONDS: Final = 10.0
MAX_BYTES: Final = 64 * 1024
QUOTA_SECONDS: Final = 300.0
"""Time between two looks at what is left of the quota."""
LOW_SHARES: Final = (0.01, 0.1)
"""Shares of the quota at which what is left is worth a warning, the smallest first."""
LEAST_SECONDS: Final = 1.0
"""Credentials that end sooner are none."""

log = structlog.get_logger(__name__)


class RelayAccess:
    """What a relay lets us do.

    Args:
        exchange: An exchange of Tardis.
        settings: `relay` is used.
        clock: When credentials end.
        metrics: Where the quota is shown; None: nowhere.

    Raises:
        SettingsError: The address or the key is missing.
        UsageError: The exchange is none of our venues.
    """

    def __init__(self, exchange: str, settings: Settings, clock: Clock, metrics: Metrics | None = None) -> None:
        relay = settings.of(RelaySettings)
        self._venue = venue_at_tardis(exchange)
        self._exchange = exchange
        self._url = relay.base_url.rstrip("/")
        self._key = key_in(relay.api_key_file) if relay.api_key_file else ""
        self._depth, self._is_chain = relay.depth, relay.update_ids == "chained"
        self._clock = clock
        self._metrics = metrics
        self._whole: int | None = None
        self._told: float | None = None
        self._credentials = Credentials("", "")
        self._renewed_every_s = 0.0
        self._asked_s = 0.0  # for how long it wants to be left alone
        if not self._url:
            raise SettingsError("no relay is named", next_step="set relay.base_url")
        if not self._key:
            raise SettingsError(
                f"relay.api_key_file holds no key ({relay.api_key_file})", next_step="name a file that holds the key"
            )

    async def open(self) -> tuple[RelayStream, Provider]:
        """See that the key is good, and get what the relay gives for it; the venue as it streams it.

        Raises:
            ExchangeUnreachable: It refuses the key, does not answer, or gives nothing that can be used.
        """
        await self._verify()
        await self._renew()
        stream = RelayStream(
            self._venue,
            self._credentials.stream_url,
            self._renewed_every_s,
            depth=self._depth,
            is_chain=self._is_chain,
        )
        return stream, Provider(f"{RELAY_PREFIX}{self._exchange}", self._headers, attend=self.attend)

    async def attend(self, source: VenueSource) -> None:
        """Renew the credentials in time, and look at the quota, until cancelled.

        What fails is tried again: connections that stand do so until what they were opened with ends.
        """
        backoff, due_s = Backoff(), self._renewed_every_s
        while True:
            wait_s = min(QUOTA_SECONDS, due_s)
            await asyncio.sleep(wait_s)
            due_s -= wait_s
            try:
                if due_s > 0:
                    await self._verify()
                    continue
                await self._renew()
                source.readdress(self._credentials.stream_url, self._headers)
                due_s = self._renewed_every_s
                backoff.reset()
            except ExchangeUnreachable as error:
                due_s = max(due_s, backoff.next_s(self._asked_s))
                self._asked_s = 0.0
                log.warning("relay_not_answering", relay=self._url, error=str(error), retry_s=due_s)

    def note_quota(self, quota: Quota) -> None:
        """Show what is left, and say it once where little is."""
        if quota.remaining is None:
            return
        self._whole = max(quota.limit or 0, self._whole or 0, quota.remaining)
        if self._metrics is not None:
            self._metrics.gauge("obflow_relay_quota_messages", venue=self._venue.venue).set(quota.remaining)
        share, told = low_share(quota.remaining, self._whole), self._told
        if share < (1.0 if told is None else told):
            log.warning("relay_quota_low", relay=self._url, remaining=quota.remaining, of=self._whole)
        elif told is None:
            log.info("relay_quota", relay=self._url, remaining=quota.remaining, of=self._whole)
        self._told = share

    @property
    def _headers(self) -> dict[str, str]:
        return {"X-API-Key": self._credentials.api_key}

    async def _verify(self) -> None:
        try:
            self.note_quota(read_quota(await self._get("/auth/verify")))
        except DecodeError as error:
            raise self._away(error.cause) from None

    async def _renew(self) -> None:
        query = urlencode({"exchange": self._exchange, "channels": ",".join(CHANNELS)})
        try:
            found = read_credentials(await self._get(f"/tardis/credentials?{query}"))
        except DecodeError as error:
            raise self._unusable(error.cause) from None
        lifetime_s = found.lifetime_s(self._clock.now_ns())
        if lifetime_s < LEAST_SECONDS / 2:
            ago_s = -2 * lifetime_s
            raise self._unusable(f"they ended {ago_s:.0f} s ago by this machine's clock")
        self._credentials, self._renewed_every_s = found, lifetime_s
        self.note_quota(Quota(found.remaining))
        log.info("relay_credentials", relay=self._url, for_s=round(2 * lifetime_s), ends_ns=found.expires_ns)

    async def _get(self, path: str) -> bytes:
        timeout, key = aiohttp.ClientTimeout(total=REQUEST_SECONDS), {"Authorization": f"Bearer {self._key}"}
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, trust_env=not is_loopback(self._url)) as session,
                session.get(self._url + path, headers=key, allow_redirects=False) as answer,
            ):
                body = await body_within(answer, MAX_BYTES)
                status, headers = answer.status, list(answer.headers.items())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._away(str(error) or f"no answer within {REQUEST_SECONDS:g} s") from None
        if status in REFUSING:
            raise ExchangeUnreachable(
                f"{self._url} refuses the key (HTTP {status})", next_step="check relay.api_key_file"
            )
        if status != 200:
            said = body[:200].decode(errors="replace").replace(self._key, "…")
            self._asked_s = read_wait(headers, said, self._clock.now_ns() / NS_PER_SECOND, LONGEST_WAIT_S) or 0.0
            raise self._away(f"HTTP {status}: {said}")
        return body

    def _away(self, why: str) -> ExchangeUnreachable:
        return ExchangeUnreachable(f"the relay {self._url} does not answer ({why})", next_step="check relay.base_url")

    def _unusable(self, why: str) -> ExchangeUnreachable:
        return ExchangeUnreachable(
            f"the relay {self._url} gives no credentials for {self._exchange} that can be used ({why})",
            next_step="ask whoever runs it",
        )


def low_share(remaining: int, whole: int) -> float:
    """Tell which of `LOW_SHARES` what is left has come down to; 1 where none."""
    return next((share for share in LOW_SHARES if remaining <= share * whole), 1.0)
