"""Datasets of Tardis over HTTP: a day of an instrument is a file, fetched whole and checked, or gone on with later.

What has come lies in a file that ends in `.part`, with the server's mark of it beside it, until it is whole. A day that
is there is not asked for again.
"""

from __future__ import annotations

import asyncio
import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from io import FileIO
from pathlib import Path
from typing import Final, Literal, NamedTuple
from urllib.parse import quote

import aiohttp

from obflow.backoff import LONGEST_S, Backoff
from obflow.clock import Clock
from obflow.response_headers import read_retry_after
from producers.live.rest import is_loopback
from producers.live.tardis import key_headers, refuse_where_barred
from producers.settings import TardisSettings
from producers.tardis.datasets import NAMES
from schemas.errors import ExchangeUnreachable, FatalError, UsageError
from schemas.units import NS_PER_SECOND

CONNECT_SECONDS: Final = 10.0
SILENT_SECONDS: Final = 60.0
READ_BYTES: Final = 1024 * 1024
TRIES: Final = 6
"""Attempts in a row that bring nothing new, before a file is given up."""
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 30.0
MOST_DAYS: Final = 3_660
_SYMBOL: Final = re.compile(r"[A-Za-z0-9._-]{1,80}")
_NEXT: Final = "run it again: it goes on where it ended"


class Day(NamedTuple):
    """One file: a day of an instrument, of one dataset."""

    exchange: str
    dataset: str
    day: date
    symbol: str

    @property
    def path(self) -> str:
        """Where it is, below the server's address."""
        symbol = quote(self.symbol, safe="")
        return f"/{self.exchange}/{self.dataset}/{self.day:%Y/%m/%d}/{symbol}.csv.gz"

    @property
    def name(self) -> str:
        """What it is called here: commands tell exchange and dataset from it."""
        return f"{self.exchange}_{self.dataset}_{self.day:%Y-%m-%d}_{self.symbol}.csv.gz"


class Fetched(NamedTuple):
    """What became of days.

    Attributes:
        came: Files that came.
        kept: Files that were there.
        missing: Days that the server does not have.

    Fewer than there were days: it was stopped.
    """

    came: list[Path]
    kept: list[Path]
    missing: list[Day]


class _LaterError(Exception):
    """An attempt came to nothing; another may not."""

    def __init__(self, why: str, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.why = why
        self.wait_s = wait_s


def days_of(exchange: str, datasets: Sequence[str], symbols: Sequence[str], first: str, last: str) -> list[Day]:
    """Name the files of instruments, day by day, both ends included.

    Raises:
        UsageError: A dataset, a symbol or a day that cannot be.
    """
    begin, end = _day(first), _day(last)
    if not begin <= end or (end - begin).days >= MOST_DAYS:
        raise UsageError(f"{first} to {last} are no days to fetch", next_step="give --from and --to in their order")
    for dataset in datasets:
        if dataset not in NAMES:
            raise UsageError(f"Tardis has no dataset {dataset}", next_step=f"there are {', '.join(NAMES)}")
    named = [_symbol(symbol) for symbol in symbols]
    days = [begin + timedelta(days=number) for number in range((end - begin).days + 1)]
    return [Day(exchange, dataset, day, symbol) for day in days for symbol in named for dataset in datasets]


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no day", next_step="write 2024-08-08") from None


def _symbol(text: str) -> str:
    """Write a symbol as datasets do: with `-` in place of `/` and `:`."""
    written = text.replace("/", "-").replace(":", "-")
    if not _SYMBOL.fullmatch(written) or written.startswith("."):
        raise UsageError(f"{text!r} is no symbol", next_step="write it as the venue does, such as BTCUSDT")
    return written


async def fetch_days(
    days: Sequence[Day],
    folder: Path,
    tardis: TardisSettings,
    *,
    clock: Clock,
    stop: asyncio.Event,
    watch: Callable[[Sequence[Day]], Iterator[Day]] = iter,
) -> Fetched:
    """Fetch what is not there yet, one file after the other.

    Args:
        days: Which.
        folder: Where they are put; made where it is missing.
        tardis: Address and key.
        clock: The time, for waits that a server asks for.
        stop: Ends it after the present file, or in the middle of it; what came of that is kept.
        watch: Is given the days, and may count them as they are taken.

    Raises:
        ExchangeUnreachable: The server refuses the key, or gives no whole file however often it is asked.
        UsageError: It finds the request wrong, or the folder cannot be made.
        FatalError: A file cannot be written, as on a full disk.
    """
    fetched = Fetched([], [], [])
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS)
    url = tardis.datasets_url.rstrip("/")
    session = aiohttp.ClientSession(
        timeout=timeout, trust_env=not is_loopback(url), auto_decompress=False, headers=key_headers(tardis)
    )
    async with session:
        with _made(folder):
            for day in watch(days):
                if stop.is_set():
                    break
                await _Download(session, url, day, folder / day.name, tardis, clock, stop).run(fetched)
    return fetched


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder where it is missing, and take it away again where nothing came to it."""
    is_missing = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written ({error.strerror})", next_step="name another folder") from None
    try:
        yield
    finally:
        if is_missing:
            with suppress(OSError):  # it holds something
                folder.rmdir()


class _Download:
    """One file."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        day: Day,
        path: Path,
        tardis: TardisSettings,
        clock: Clock,
        stop: asyncio.Event,
    ) -> None:
        self._session = session
        self._url = url + day.path
        self._day = day
        self._path = path
        self._tardis = tardis
        self._clock = clock
        self._stop = stop
        self._is_damaged = False
        self._part = path.with_name(path.name + ".part")
        self._mark = path.with_name(path.name + ".part.mark")

    async def run(self, fetched: Fetched) -> None:
        """Fetch it, however many attempts it takes, as long as each brings something."""
        if self._path.exists():
            fetched.kept.append(self._path)
            return
        idle, waits = 0, Backoff(FIRST_WAIT_S, LONGEST_WAIT_S)
        while not self._stop.is_set():
            before = self._held()
            try:
                outcome = await self._attempt()
            except _LaterError as later:
                if self._held() > before:
                    idle = 0
                    waits.reset()
                idle += 1
                if idle > TRIES:
                    raise ExchangeUnreachable(f"{self._url} was not had ({later.why})", next_step=_NEXT) from None
                await self._pause(waits.next_s(later.wait_s))
                continue
            if outcome is None:
                fetched.missing.append(self._day)
            elif outcome:
                fetched.came.append(self._path)
            return

    def _held(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    async def _attempt(self) -> bool | None:
        """Ask for what is lacking: True where the file is whole now, None where there is none, False where stopped."""
        held, mark = self._held(), self._read_mark()
        headers = {"Range": f"bytes={held}-", "If-Range": mark} if held and mark else {}
        try:
            async with self._session.get(self._url, headers=headers, allow_redirects=False) as answer:
                if answer.status == 404:
                    return None
                self._refuse(answer)
                await self._receive(answer, held if answer.status == 206 else 0)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _LaterError(str(error) or f"nothing came for {SILENT_SECONDS:g} s") from None
        if self._stop.is_set():
            return False
        await asyncio.to_thread(self._keep)
        return True

    def _refuse(self, answer: aiohttp.ClientResponse) -> None:
        if answer.status in (200, 206):
            return
        refuse_where_barred(answer.status, self._tardis, self._url)
        if answer.status == 416:  # what is here is longer than what is there: it is of another file
            self._drop()
            raise _LaterError("the file has changed")
        if answer.status == 429 or answer.status >= 500:
            now_s = self._clock.now_ns() / NS_PER_SECOND
            wait_s = read_retry_after(answer.headers.get("Retry-After", ""), now_s, LONGEST_S)
            raise _LaterError(f"HTTP {answer.status}", wait_s or 0.0)
        raise UsageError(
            f"{self._url} is refused (HTTP {answer.status})", next_step="check the exchange, the symbols and the days"
        )

    async def _receive(self, answer: aiohttp.ClientResponse, start: int) -> None:
        """Add what comes to what is there; what is not as long as the server said is gone on with."""
        whole = start + (answer.content_length or 0)
        with self._opened("ab" if start else "wb", answer.headers.get("ETag", "")) as file:
            async for chunk in answer.content.iter_chunked(READ_BYTES):
                self._add(file, chunk)
                if self._stop.is_set():
                    return
        if answer.content_length is not None and self._held() != whole:
            raise _LaterError(f"{self._held()} of {whole} bytes came")

    def _opened(self, mode: Literal["ab", "wb"], mark: str) -> FileIO:
        try:
            self._mark.write_text(mark, "utf-8")
            return self._part.open(mode, buffering=0)
        except OSError as error:
            raise self._not_written(error) from None

    def _add(self, file: FileIO, chunk: bytes) -> None:
        left = memoryview(chunk)
        try:
            while left:
                left = left[file.write(left) :]
        except OSError as error:
            raise self._not_written(error) from None

    def _not_written(self, error: OSError) -> FatalError:
        """Say that the file cannot be written, as on a full disk: no other attempt would fare better."""
        return FatalError(
            f"{self._part} cannot be written ({error.strerror})", next_step="make room on the disk, then start again"
        )

    def _keep(self) -> None:
        """See that the archive is whole, then give it its name."""
        try:
            if not self._held():
                raise EOFError("it is empty")
            with gzip.open(self._part) as file:
                while file.read(READ_BYTES):
                    pass
        except (OSError, EOFError, zlib.error) as error:
            self._drop()
            why = f"the archive is damaged: {error}"
            if self._is_damaged:  # as it lies there, not on its way
                raise ExchangeUnreachable(f"{self._url} was not had ({why})", next_step=_NEXT) from None
            self._is_damaged = True
            raise _LaterError(why) from None
        self._part.replace(self._path)
        self._mark.unlink(missing_ok=True)

    def _drop(self) -> None:
        self._part.unlink(missing_ok=True)
        self._mark.unlink(missing_ok=True)

    def _read_mark(self) -> str:
        with suppress(OSError, UnicodeDecodeError):
            mark = self._mark.read_text("utf-8")
            return mark if mark.isascii() and mark.isprintable() and not mark.startswith("W/") else ""
        return ""
