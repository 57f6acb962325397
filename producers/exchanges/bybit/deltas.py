"""Where the deltas of Bybit's books say what, for reading them at speed."""

from __future__ import annotations

from typing import Final

from producers.contract import DeltaForm
from producers.messages import LevelForm

DELTAS: Final = DeltaForm(
    LevelForm.PAIRS,
    bids="data.b",
    asks="data.a",
    last=("data.u",),
    time=("cts", "ts"),
    besides=("data.seq",),
    channel="topic",
)
