"""What Binance's data frames consist of, as documented and as recorded in 2024 and 2025.

Futures: `ps` is the pair, `st` the kind of contract. Spot's trades named both orders (`a`, `b`) until 2024.
"""

from __future__ import annotations

from typing import Final

from producers.shapes import FrameShapes, KindShape

_TRADED: Final = "T p q"
_QUOTED: Final = "u b B a A"
_AGGREGATE: Final = KindShape("data", "e E T s a p q m", "f l M ps st nq", _TRADED)

SPOT: Final = FrameShapes(
    "stream",
    "@",
    1,
    "result",
    "stream",
    {
        "depth": KindShape("data", "e E s U u b a", moving="E U u"),
        "trade": KindShape("data", "e E T s t p q m", "M a b", _TRADED),
        "aggTrade": _AGGREGATE,
        "bookTicker": KindShape("data", "u s b B a A", moving=_QUOTED),
    },
)

FUTURES: Final = FrameShapes(
    "stream",
    "@",
    1,
    "result",
    "stream",
    {
        "depth": KindShape("data", "e E T s U u pu b a", "ps st", "E T U u pu"),
        "trade": KindShape("data", "e E T s t p q m", "X ps st", _TRADED),
        "aggTrade": _AGGREGATE,
        "bookTicker": KindShape("data", "e u E T s b B a A", "ps st", _QUOTED),
        "markPrice": KindShape("data", "e E s p", "i P r T ap ps st", "E p i"),
    },
)
