"""Deltas as columns: what the decoder writes and `process` reads."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

HEAD: Final = np.dtype(
    [
        ("epoch", np.int64),
        ("sequence", np.int64),
        ("previous", np.int64),
        ("received_ns", np.int64),
        ("exchange_ns", np.int64),
        ("has_exchange", np.int64),
        ("flow_lots", np.int64),
        ("has_flow", np.int64),
        ("quote_events", np.int64),
        ("spans", np.int64, 7),
    ]
)
"""A delta but for its levels.

`exchange_ns` is the venue's time and `flow_lots` the order flow at the best quotes, where it has them; `spans` is where
its six arrays begin in the numbers, and where the last one ends: ticks and lots of bids, of asks and of trades.
"""


class Deltas(NamedTuple):
    """Deltas as columns.

    Attributes:
        heads: A row of HEAD each.
        numbers: The arrays of all, one after another.
    """

    heads: NDArray[Any]
    numbers: Ints
