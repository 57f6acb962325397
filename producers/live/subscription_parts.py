"""Which instruments are subscribed together: as many as a message, or a connection, of the venue's carries."""

from __future__ import annotations

from collections.abc import Sequence

from producers.contract import Exchange


def in_messages(exchange: Exchange, symbols: Sequence[str]) -> list[Sequence[str]]:
    """Split instruments so that the streams of each part fit into one message."""
    return split(exchange, symbols, exchange.limits.streams_per_message)


def split(exchange: Exchange, symbols: Sequence[str], streams: int) -> list[Sequence[str]]:
    """Split instruments into parts of at most so many streams."""
    most = max((len(exchange.streams(symbol)) for symbol in symbols), default=1)
    each = max(1, streams // max(1, most))
    return [symbols[start : start + each] for start in range(0, len(symbols), each)]
