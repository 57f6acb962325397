"""History from tardis-machine: `replay-normalized` into a recording, whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import aiohttp
import msgspec

from obflow.settings import Settings
from producers.contract import MAX_FRAME_BYTES
from producers.live.rest import is_loopback
from producers.live.tardis import key_headers, refuse_where_barred
from producers.messages import Frame
from producers.recordings.tardis_machine import frame_of
from producers.recordings.writer import RecordingWriter
from producers.settings import TardisSettings
from producers.tardis.stream import DATA_TYPES, DERIVATIVES
from producers.tardis.venues import SPOT, exchange_in
from schemas.errors import DecodeError, ExchangeUnreachable, UsageError

PATH = "/replay-normalized"
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


async def fetch_replay(
    name: str, symbols: Sequence[str], stretch: Stretch, settings: Settings, *, path: Path, stop: asyncio.Event
) -> dict[str, object]:
    """Write a stretch of the past into a recording. Where anything fails, or it is stopped, none is left.

    Args:
        name: `tardis:` and the exchange, written into the recording.
        symbols: Instruments.
        stretch: From when to when.
        settings: `tardis` is used.
        path: A new file.
        stop: Ends it.

    Returns:
        What the file holds; there is none where nothing was traded, or it was stopped.

    Raises:
        UsageError: The file is there already, or the machine finds the request wrong.
        ExchangeUnreachable: It refuses the key, does not answer, or ends in the middle.
    """
    tardis = settings.of(TardisSettings)
    with RecordingWriter(path, name) as writer:
        try:
            async for frame in _frames(tardis, _asked(exchange_in(name), symbols, stretch)):
                if stop.is_set():
                    writer.abandon()
                    return {"venue": name, "lines": 0, "file": None}
                writer.write(frame)
        except BaseException:
            writer.abandon()
            raise
        lines = writer.lines
    return {"venue": name, "lines": lines, "file": str(path) if lines else None}


def _asked(exchange: str, symbols: Sequence[str], stretch: Stretch) -> dict[str, str]:
    options = {
        "exchange": exchange,
        "symbols": list(symbols),
        "from": stretch.start,
        "to": stretch.end,
        "dataTypes": DATA_TYPES if exchange in SPOT else (*DATA_TYPES, *DERIVATIVES),
        "withDisconnectMessages": True,
    }
    return {"options": msgspec.json.encode(options).decode()}


async def _frames(tardis: TardisSettings, asked: dict[str, str]) -> AsyncIterator[Frame]:
    url = tardis.base_url.rstrip("/")
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=not is_loopback(url)) as session,
            session.get(url + PATH, params=asked, headers=key_headers(tardis), allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                said = (await answer.content.read(MAX_REFUSAL_BYTES)).decode(errors="replace")
                raise _refused(answer.status, said, tardis)
            async for line in _lines(answer.content):
                yield frame_of(line, CONNECTION)
    except DecodeError as error:
        raise ExchangeUnreachable(f"{url} gave no whole history ({error.cause})", next_step=_CHECK) from None
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
