"""Where the depth events of Binance's venues say what, for reading them at speed."""

from __future__ import annotations

from typing import Final

from producers.contract import DeltaForm
from producers.messages import LevelForm

DELTAS: Final = DeltaForm(
    LevelForm.PAIRS,
    bids="data.b",
    asks="data.a",
    last=("data.u",),
    time=("data.T", "data.E"),
    first=("data.U",),
    previous=("data.pu",),
    channel="stream",
)
