"""Trades of one instrument that came already, told by the venue's ids: each is taken once.

A venue may send a trade twice: again in its stream, with a subscription after a reconnect, or over a second connection.
So the newest ids are remembered for as long as the instrument is produced, whatever becomes of its connections. They
are looked up, never compared in size: ids that rise come out of order over two connections, and not all of them rise
(ADR 0063).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from schemas.errors import DecodeError

REMEMBERED: Final = 1_000
"""So many of the newest ids at least, twice as many at most: no venue tells more trades at once, if asked over REST."""
REMEMBERED_OF_TWO: Final = 100_000
"""The same while two connections bring them: one may be as far behind as `handover.AFTER_NS` says."""
NO_IDS: Final = frozenset(("", "0"))
"""What stands where there is no id: the same in trades that are not the same."""


class SeenTrades:
    """Ids of an instrument's newest trades, in constant memory and time: in two halves, of which the older one goes."""

    def __init__(self) -> None:
        self._newer: set[str] = set()
        self._older: set[str] = set()

    def is_copy(self, trade_id: str, most: int = REMEMBERED) -> bool:
        """Tell whether a trade came already; else it has now. One without an id never did.

        Args:
            trade_id: The venue's id.
            most: How many are to be remembered at least.
        """
        newer = self._newer
        if trade_id in newer or trade_id in self._older:
            return True
        if trade_id in NO_IDS:
            return False
        if len(newer) >= most:
            self._older = newer
            self._newer = newer = set()
        newer.add(trade_id)
        return False

    def note(self, trade_ids: Iterable[str]) -> None:
        """Take note of trades that came before, oldest first."""
        for trade_id in trade_ids:
            self.is_copy(trade_id)


class KnownTrades(msgspec.Struct, frozen=True):
    """Trades of an instrument that were published before this run: the content of a frame `Via.KNOWN`.

    Attributes:
        symbol: The venue's own symbol.
        trades: Their ids, oldest first.
    """

    symbol: str
    trades: Sequence[str]


_KNOWN = msgspec.json.Decoder(KnownTrades)


def read_known(raw: bytes) -> KnownTrades:
    """Read what was published before.

    Raises:
        DecodeError: It is not that.
    """
    try:
        return _KNOWN.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"trades that are known: {error}") from None
