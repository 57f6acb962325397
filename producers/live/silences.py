"""Which channels of a feed's instruments are silent: each is told once, and another asked for what it lacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from producers.contract import Channel

log = structlog.get_logger(__name__)


class ChannelSilences:
    """What was told of the silence of channels.

    Args:
        stale_seconds: After so long without a message a channel is silent.
        subscribe_instead: Subscribes to another channel for what a silent one lacks; says whether there is one.
    """

    def __init__(self, stale_seconds: float, subscribe_instead: Callable[[Channel, str], bool]) -> None:
        self._stale_seconds = stale_seconds
        self._subscribe_instead = subscribe_instead
        self._told: dict[str, Sequence[Channel]] = {}

    def note(self, symbol: str, silent: Sequence[Channel]) -> None:
        """Take note of the silent channels of an instrument, and tell what changed."""
        before, self._told[symbol] = self._told.get(symbol, ()), silent
        for channel in silent:
            if channel not in before:
                log.warning("channel_silent", symbol=symbol, channel=channel.value, for_s=self._stale_seconds)
                if self._subscribe_instead(channel, symbol):
                    log.info("alternative_subscribed", symbol=symbol, channel=channel.value)
        for channel in before:
            if channel not in silent:
                log.info("channel_heard", symbol=symbol, channel=channel.value)

    def forget(self, symbol: str) -> None:
        """Forget an instrument that is produced no longer."""
        self._told.pop(symbol, None)
