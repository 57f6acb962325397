"""Where the updates of OKX's books say what, for reading them at speed."""

from __future__ import annotations

from typing import Final

from producers.contract import DeltaForm
from producers.exchanges.okx.rules import SUMMED_LEVELS
from producers.messages import LevelForm

DELTAS: Final = DeltaForm(
    LevelForm.FOURS,
    bids="data.0.bids",
    asks="data.0.asks",
    last=("data.0.seqId", "data.0.ts"),
    time=("data.0.ts",),
    previous=("data.0.prevSeqId",),
    checksum=("data.0.checksum",),
    summed=SUMMED_LEVELS,
    channel="arg.channel",
)
