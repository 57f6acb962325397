"""The committed synthetic recordings, for tests of what is built on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from obflow.settings import Settings
from producers.exchanges import EXCHANGES
from producers.recordings.reader import RecordingReplay
from research.replay import open_replay

FOLDER = Path(__file__).parents[1] / "producers" / "fixtures"
SYMBOL = "OBFUSDT"
"""The instrument of Binance's two recordings; `symbol_of` tells another venue's."""
VENUES = sorted(EXCHANGES)


def frames(venue: str) -> Path:
    return FOLDER / venue / "frames.jsonl"


def script(venue: str) -> dict[str, Any]:
    """What the script says of the recording, and of its first instrument."""
    found: dict[str, Any] = json.loads((FOLDER / venue / "expected.json").read_text())
    return {**found, **found.get("instruments", {}).get(symbol_of(venue), {})}


def symbol_of(venue: str) -> str:
    found: list[str] = json.loads((FOLDER / venue / "talk.json").read_text())["symbols"]
    return found[0]


def replay(venue: str) -> RecordingReplay:
    return open_replay(frames(venue), EXCHANGES[venue], Settings())
