"""Where the changes of Deribit's books say what, for reading them at speed."""

from __future__ import annotations

from typing import Final

from producers.contract import DeltaForm
from producers.messages import LevelForm

DELTAS: Final = DeltaForm(
    LevelForm.ACTIONS,
    bids="params.data.bids",
    asks="params.data.asks",
    last=("params.data.change_id",),
    time=("params.data.timestamp",),
    previous=("params.data.prev_change_id",),
    channel="params.channel",
)
