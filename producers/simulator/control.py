"""Faults on demand, as `POST /control` reads them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from producers.simulator.events import Damage

MAX_COUNT = 10_000
"""Frames or requests that one fault befalls, and requests that wait to be refused."""
MAX_SECONDS = 3_600.0


class Control(msgspec.Struct, forbid_unknown_fields=True):
    """A fault asked for. Every number is bounded; what lies beyond is refused and changes nothing.

    Attributes:
        fault: What. `gap`, `duplicate`, `disorder` and `corrupt` befall the next depth frames; `snapshot` follows the
            next one where books come in the stream; `disconnect` cuts every connection, `shutdown` announces it first
            and cuts those it told; `pause` holds all frames back; `refuse_connections` turns new connections
            away; `refuse_requests` answers REST requests with an error. `delist` ends an instrument's trading,
            `tick_size` lets it trade in ticks of a tenth; `list` begins to trade one that `symbol` names. From
            `trades_again` on, each subscription to trades begins with the last `count` of them (up to 1,000).
        symbol, venue: What it befalls; empty is everything.
        count: How many depth frames, REST requests or trades, 1 to 10,000.
        seconds: How long a pause, or the refusal of connections, lasts, up to an hour; how long ahead a shutdown is
            announced; of refused requests, what their `Retry-After` says.
        status: HTTP status of refused requests, 400 to 599.
        damage: What is wrong with corrupt frames.
    """

    fault: Literal[
        "gap",
        "duplicate",
        "disorder",
        "corrupt",
        "disconnect",
        "snapshot",
        "shutdown",
        "pause",
        "refuse_connections",
        "refuse_requests",
        "delist",
        "tick_size",
        "list",
        "trades_again",
    ]
    symbol: str = ""
    venue: str = ""
    count: Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNT)] = 1
    seconds: Annotated[float, msgspec.Meta(ge=0, le=MAX_SECONDS)] = 1.0
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 429
    damage: Damage = Damage.CUT


CONTROL = msgspec.json.Decoder(Control)
