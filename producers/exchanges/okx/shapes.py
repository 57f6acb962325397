"""What OKX's data frames consist of, as documented and as recorded in 2022.

The checksum of books is no moving number: it is 0 since 2026-06-23. Books of before 2022 had no `seqId`.
"""

from __future__ import annotations

from typing import Final

from producers.shapes import FrameShapes, KindShape

_BOOK: Final = KindShape("data[]", "asks bids ts", "checksum seqId prevSeqId", "ts seqId", beside="action")
_BEST: Final = KindShape("data[]", "asks bids ts", "seqId instId checksum", "ts seqId")

SHAPES: Final = FrameShapes(
    "arg.channel",
    ":",
    0,
    "event",
    "arg.channel arg.instId",
    {
        "books": _BOOK,
        "books-l2-tbt": _BOOK,
        "books50-l2-tbt": _BOOK,
        "books5": _BEST,
        "bbo-tbt": _BEST,
        "trades": KindShape("data[]", "instId tradeId px sz side ts", "count seqId source", "ts px sz"),
        "mark-price": KindShape("data[]", "instType instId markPx ts", moving="markPx ts"),
        "funding-rate": KindShape(
            "data[]",
            "instId fundingRate fundingTime",
            "ts instType nextFundingRate nextFundingTime method formulaType minFundingRate maxFundingRate settState "
            "settFundingRate premium interestRate impactValue prevFundingTime",
            "fundingTime",
        ),
        "open-interest": KindShape("data[]", "instType instId oi ts", "oiCcy oiUsd", "oi ts"),
    },
)
