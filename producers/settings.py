"""What of producers can be set. Registered in `pyproject.toml` as the section `producer`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, field_validator

from obflow.settings import Count, HttpAddress, Seconds, Section, UserPath, WebSocketAddress


def _in_the_users_own(folder: str) -> str:
    """Read `~` as the user's own folder; an empty name stays one: `Path` would read it as the present folder."""
    return str(Path(folder).expanduser()) if folder else ""


class TardisSettings(Section):
    """Where data of Tardis come from."""

    POSITION: ClassVar = 11

    base_url: str = "http://127.0.0.1:8000"
    """Address of tardis-machine, or of whoever passes it on; its WebSockets are one port higher."""
    stream_url: str = ""
    """Address of its WebSockets; empty is one port above tardis.base_url."""
    datasets_url: HttpAddress = "https://datasets.tardis.dev/v1"
    """Address of the datasets, or of whoever passes them on."""
    api_key_file: UserPath | None = None
    """File that holds the key they ask for; a machine of one's own holds the key itself."""


class RelaySettings(Section):
    """A relay of Tardis's data."""

    POSITION: ClassVar = 12

    base_url: HttpAddress = ""
    """Address of the relay; empty: none is used."""
    api_key_file: UserPath | None = None
    """File that holds the key that it asks for."""
    depth: Count = 20
    """Levels a side that are asked for."""
    update_ids: Literal["counted", "chained"] = "counted"
    """What update_id is worth: chained (it rises by one, and a gap in it is a gap of the book), or counted (it says
    nothing, and updates are counted as they arrive)."""


class DeribitSettings(Section):
    """Credentials of Deribit, for books and trades change by change in place of every 100 ms."""

    POSITION: ClassVar = 13

    client_id: str = ""
    """Id of the client; empty: what needs no credentials is subscribed."""
    client_secret_file: UserPath | None = None
    """File that holds its secret."""
    fallback: bool = False
    """Whether books of every 100 ms are produced where the credentials are refused; else it ends with a sentence."""


class ProducerSettings(Section):
    """Feeds and what they publish."""

    POSITION: ClassVar = 10

    routine_snapshot_seconds: Seconds = 60.0
    """Received time between two snapshots of a book that is LIVE."""
    delta_buffer: Count = 10_000
    """Deltas held for one instrument while it waits for a snapshot; more than that is an overload."""
    max_frame_bytes: Count = 16 * 1024 * 1024
    """A larger frame is refused before it is parsed."""
    linger_ms: Annotated[int, Field(ge=0)] = 2
    """How long a record waits for others to share a batch."""
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "lz4"
    """Compression of batches on the wire and in the log."""
    queue_messages: Count = 200_000
    """Records waiting for the broker; a full queue is back-pressure, never a drop."""
    queue_kbytes: Count = 262_144
    """The same bound by size."""
    delivery_timeout_seconds: Seconds = 120.0
    """A record of a replay, or a letter of a sink, not acknowledged by then has failed; of a live feed a record is kept
    for kafka.outage_seconds."""
    stale_seconds: Seconds = 30.0
    """A book without a depth update for this long is reported as stale, whatever else its feed brings."""
    known_bps: Annotated[float, Field(ge=0, le=1_000)] = 10.0
    """Range about mid that is kept known where a venue's books over REST end somewhere: one is fetched, and compared,
    before the range is left, and every ten minutes. 0: none is."""
    quality_seconds: Annotated[float, Field(ge=1, le=3_600)] = 60.0
    """Time that a record of `feed-quality.v1` tells of: latencies, losses and reconnects of one feed."""
    list_refresh_seconds: Annotated[float, Field(ge=0, le=86_400)] = 300.0
    """Time between two readings of the venue's instrument list: what is new, delisted, on another grid. 0: never."""
    share: Annotated[str, Field(pattern=r"^(|lease|[1-9][0-9]{0,3}/[1-9][0-9]{0,3})$")] = ""
    """Of the instruments asked for, which are this process's: all (empty), 1/2 or 2/2 and so on, or by a lease."""
    derivatives: bool = True
    """Whether funding, mark prices and open interest are subscribed too, where the venue has them."""
    open_interest_seconds: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    """Time between two requests for an instrument's open interest, where no channel tells it (Binance). 0: never."""
    engine: Literal["reference", "kernel", "auto"] = "reference"
    """What takes ordinary updates of books: reference (record by record), kernel (compiled, the same bytes), or auto,
    the kernel where it works."""
    rest_url: HttpAddress = ""
    """REST address of the exchange; empty is the venue's own."""
    websocket_url: WebSocketAddress = ""
    """WebSocket address of the exchange; empty is the venue's own."""
    shared_gate_folder: Annotated[str, AfterValidator(_in_the_users_own)] = ""
    """Where processes that share an address note the waits its venues told and the weight used; empty: not shared."""
    source: Literal["live", "replay", "simulator"] = "live"
    """Written into every record, so that simulated data is never taken for real."""
    beside_other_sources: bool = False
    """Whether it starts where topics or tables hold its instruments from the simulator, or, as that, live ones."""

    @field_validator("share")
    @classmethod
    def _is_a_part(cls, share: str) -> str:
        number, is_part, parts = share.partition("/")
        if is_part and int(number) > int(parts):
            raise ValueError(f"there is no part {number} of {parts}")
        return share
