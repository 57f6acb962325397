"""Which instruments are subscribed together: as many as a message, or a connection, of the venue's carries."""

from __future__ import annotations

from collections.abc import Sequence

from producers.contract import Exchange


def in_messages(exchange: Exchange, symbols: Sequence[str]) -> list[Sequence[str]]:
    """Split instruments so that the streams of each part fit into one message, by their number and their length."""
    parts = split(exchange, symbols, exchange.limits.streams_per_message)
    return [short for part in parts for short in _within_bytes(exchange, part)]


def _within_bytes(exchange: Exchange, symbols: Sequence[str]) -> list[Sequence[str]]:
    """Halve instruments until what ends their subscriptions, which is the longest that is said of them, is allowed."""
    most = exchange.limits.message_bytes
    if len(symbols) < 2 or not most or all(len(say.raw) <= most for say in exchange.unsubscribe(symbols)):
        return [symbols]
    middle = len(symbols) // 2
    return [*_within_bytes(exchange, symbols[:middle]), *_within_bytes(exchange, symbols[middle:])]


def split(exchange: Exchange, symbols: Sequence[str], streams: int) -> list[Sequence[str]]:
    """Split instruments into parts of at most so many streams."""
    each = fitting(exchange, symbols, streams)
    return [symbols[start : start + each] for start in range(0, len(symbols), each)]


def fitting(exchange: Exchange, symbols: Sequence[str], streams: int) -> int:
    """Tell how many of such instruments have room in so many streams: one at least."""
    most = max((len(exchange.streams(symbol)) for symbol in symbols), default=1)
    return max(1, streams // max(1, most))
