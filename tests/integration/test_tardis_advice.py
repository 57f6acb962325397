"""Advice about Tardis is done: what was refused is taken, each time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from obflow.settings import Settings
from producers.live.tardis import key_headers, require_access, stream_url
from producers.live.tardis_replay import Stretch, Wanted, fetch_replay, stretch_of
from producers.settings import TardisSettings
from tests.integration.advising import TIMES, refused
from tests.integration.backends import free_port
from tests.integration.machine_server import KEY, machine
from tests.integration.test_tardis_machine import NAME, STRETCH, SYMBOLS, settings_for

pytestmark = pytest.mark.integration


@pytest.mark.advice("check tardis.api_key_file", "write the key into it, and nothing else")
async def test_a_key_that_opens_nothing(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    async with machine("bybit", "bybit", SYMBOLS, wants_key=True) as server:
        tardis = settings_for(server, key_file).tardis  # type: ignore[attr-defined]
        for wrong in ("old", "older"):
            key_file.write_text(wrong)
            with pytest.raises(Exception, match=r"check tardis\.api_key_file"):
                await require_access(tardis)
            key_file.write_text("two words")
            refused(lambda: key_headers(tardis), "write the key into it, and nothing else")
            key_file.write_text(KEY)
            for _ in range(TIMES):
                await require_access(tardis)


@pytest.mark.advice("check the symbols, --from and --to")
async def test_symbols_that_are_not_traded(tmp_path: Path) -> None:
    async def fetch(symbol: str, stretch: Stretch, number: int) -> dict[str, object]:
        path = tmp_path / f"{symbol}{number}.frames.jsonl.gz"
        return await fetch_replay(
            Wanted.normalised(NAME, [symbol], stretch), settings_for(server), path=path, stop=asyncio.Event()
        )

    async with machine("bybit", "bybit", SYMBOLS) as server:
        for number in range(TIMES):
            with pytest.raises(Exception, match="check the symbols, --from and --to"):
                await fetch("NOPE", STRETCH, number)
            assert (await fetch("BTCUSDT", STRETCH, number))["lines"]


@pytest.mark.advice("start it, or set tardis.base_url")
async def test_a_machine_that_is_not_there(tmp_path: Path) -> None:
    async def fetch(settings: Settings, number: int) -> dict[str, object]:
        path = tmp_path / f"{number}.frames.jsonl.gz"
        return await fetch_replay(Wanted.normalised(NAME, SYMBOLS, STRETCH), settings, path=path, stop=asyncio.Event())

    async with machine("bybit", "bybit", SYMBOLS) as server:
        for number in range(TIMES):
            nowhere = Settings(tardis=TardisSettings(base_url=f"http://127.0.0.1:{free_port()}"))
            with pytest.raises(Exception, match=r"no tardis-machine answers at .*: start it, or set tardis\.base_url"):
                await fetch(nowhere, number)
            assert (await fetch(settings_for(server), number))["lines"]


@pytest.mark.advice("write http://HOST:PORT")
def test_addresses_that_are_none() -> None:
    advice = refused(lambda: stream_url(TardisSettings(base_url="machine:x")), "write http://HOST:PORT")
    written = advice.removeprefix("write ").replace("HOST", "machine").replace("PORT", "8000")
    for _ in range(TIMES):
        assert stream_url(TardisSettings(base_url=written)) == "ws://machine:8001"


@pytest.mark.advice("write 2024-08-08T23:54:00Z", "give --from and --to in their order")
def test_moments_of_the_past() -> None:
    written = refused(lambda: stretch_of("noon", "midnight"), "write 2024-08-08T23:54:00Z").removeprefix("write ")
    refused(lambda: stretch_of(written, written), "give --from and --to in their order")
    for _ in range(TIMES):
        assert stretch_of("2024-08-08T23:50", written).end == "2024-08-08T23:54:00.000Z"
