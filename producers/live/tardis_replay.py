"""History from tardis-machine into a recording, whole or not at all: its messages, or the venue's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import aiohttp
import msgspec

from obflow.settings import Settings
from producers.contract import MAX_FRAME_BYTES
from producers.live.rest import body_within, is_loopback
from producers.live.tardis import key_headers, refuse_where_barred, venue_at_tardis
from producers.messages import Frame
from producers.recordings.rotating import open_writer, written
from producers.recordings.rotation import Rotation
from producers.recordings.tardis_machine import frame_of
from producers.settings import TardisSettings
from producers.tardis.raw import RawLines, filters_of
from producers.tardis.stream import DATA_TYPES, DERIVATIVES
from producers.tardis.venues import SPOT, exchange_in
from schemas.errors import DecodeError, ExchangeUnreachable, UsageError

PATH = "/replay-normalized"
RAW_PATH = "/replay"
CONNECT_SECONDS = 10.0
SILENT_SECONDS = 120.0
"""Longest wait for the next bytes: the machine fetches a minute of data before it gives any of it."""
READ_BYTES = 256 * 1024
MAX_REFUSAL_BYTES = 4_096
CONNECTION = "replay"


class Stretch(NamedTuple):
    """From when to when, as the machine reads it."""

    start: str
    end: str


def stretch_of(start: str, end: str) -> Stretch:
    """Read two moments, ISO 8601, UTC where they name no zone.

    Raises:
        UsageError: One is none, or the end is not behind the start.
    """
    first, last = _moment(start), _moment(end)
    if last <= first:
        raise UsageError(f"{end} does not lie behind {start}", next_step="give --from and --to in their order")
    return Stretch(*(f"{moment:%Y-%m-%dT%H:%M:%S}.000Z" for moment in (first, last)))


class Wanted(NamedTuple):
    """What is asked of the machine, and how its answer reads.

    Attributes:
        venue: Written into the recording: who reads its frames.
        path: Of the request.
        options: Its parameter.
        frames_of: Makes frames of a line.
        symbols: Of which instruments, as the exchange writes them.
    """

    venue: str
    path: str
    options: dict[str, object]
    frames_of: Callable[[bytes], list[Frame]]
    symbols: tuple[str, ...] = ()

    @classmethod
    def normalised(cls, name: str, symbols: Sequence[str], stretch: Stretch) -> Wanted:
        """Ask for the machine's messages of `tardis:` and an exchange."""
        exchange = exchange_in(name)
        options = {
            "exchange": exchange,
            "symbols": list(symbols),
            "from": stretch.start,
            "to": stretch.end,
            "dataTypes": DATA_TYPES if exchange in SPOT else (*DATA_TYPES, *DERIVATIVES),
            "withDisconnectMessages": True,
        }
        return cls(name, PATH, options, lambda line: [frame_of(line, CONNECTION)], tuple(symbols))

    @classmethod
    def raw(cls, name: str, symbols: Sequence[str], stretch: Stretch, channels: Sequence[str] = ()) -> Wanted:
        """Ask for the venue's own messages, of these channels or the usual ones; they are read as any of the venue.

        Raises:
            UsageError: The exchange is none of our venues.
        """
        exchange = exchange_in(name)
        venue = venue_at_tardis(exchange).venue
        options = {
            "exchange": exchange,
            "filters": filters_of(exchange, symbols, stretch.start, channels),
            "from": stretch.start,
            "to": stretch.end,
            "withDisconnects": True,
        }
        return cls(venue, RAW_PATH, options, RawLines(venue, CONNECTION).frames_of, tuple(symbols))


async def fetch_replay(
    wanted: Wanted, settings: Settings, *, path: Path, stop: asyncio.Event, rotation: Rotation | None = None
) -> dict[str, object]:
    """Write a stretch of the past into a recording. Where anything fails, or it is stopped, none is left.

    Args:
        wanted: What.
        settings: `tardis` is used.
        path: A new file; with a rotation a folder without parts.
        stop: Ends it.
        rotation: When a part ends and the next begins, by the times of the past; None: all is one file.

    Returns:
        What the file holds; there is none where nothing was traded, or it was stopped.

    Raises:
        UsageError: The file is there already, or the machine finds the request wrong.
        ExchangeUnreachable: It refuses the key, does not answer, or ends in the middle.
    """
    tardis = settings.of(TardisSettings)
    with open_writer(path, wanted.venue, wanted.symbols, rotation, anew=True) as writer:
        try:
            async for frame in _frames(tardis, wanted):
                if stop.is_set():
                    writer.abandon()
                    break
                writer.write(frame)
        except BaseException:
            writer.abandon()
            raise
    return {"venue": wanted.venue, **written(writer, path)}


async def _frames(tardis: TardisSettings, wanted: Wanted) -> AsyncIterator[Frame]:
    url, asked = tardis.base_url.rstrip("/"), {"options": msgspec.json.encode(wanted.options).decode()}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=not is_loopback(url)) as session,
            session.get(url + wanted.path, params=asked, headers=key_headers(tardis), allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                said = (await body_within(answer, MAX_REFUSAL_BYTES)).decode(errors="replace")
                raise _refused(answer.status, said, tardis)
            async for line in _lines(answer.content):
                for frame in wanted.frames_of(line):
                    yield frame
    except DecodeError as error:
        raise ExchangeUnreachable(f"{url} gave no whole history ({error.cause})", next_step=_CHECK) from None
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise ExchangeUnreachable(
            f"no tardis-machine answers at {url} ({error})", next_step="start it, or set tardis.base_url"
        ) from None
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        why = str(error) or f"nothing came for {SILENT_SECONDS:g} s"
        raise ExchangeUnreachable(f"{url} gave no whole history ({why})", next_step=_CHECK) from None


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Split what comes into lines; the last one may have no end."""
    held = b""
    async for chunk in content.iter_chunked(READ_BYTES):
        *lines, held = (held + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
        if len(held) > MAX_FRAME_BYTES:
            raise DecodeError(f"a line of more than {MAX_FRAME_BYTES} bytes")
    if held:
        yield held


def _refused(status: int, said: str, tardis: TardisSettings) -> Exception:
    refuse_where_barred(status, tardis)
    if status < 500:
        return UsageError(
            f"{tardis.base_url} refuses the request (HTTP {status}: {said[:300]})",
            next_step="check the symbols, --from and --to",
        )
    return ExchangeUnreachable(f"{tardis.base_url} failed (HTTP {status}: {said[:300]})", next_step=_CHECK)


_CHECK = "look at the machine's own log, then run it again"


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no moment", next_step="write 2024-08-08T23:54:00Z") from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
