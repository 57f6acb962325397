"""`obflow record --rotate`: what the simulator sent is in the parts, also where the recorder was killed between."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from producers.exchanges import EXCHANGES
from producers.messages import Frame, Via
from producers.recordings.manifest import PartEnd, PartEntry, load_manifest
from producers.recordings.reader import RecordingReplay
from producers.recordings.recording import Recording
from producers.simulator.sockets import Line
from schemas.messages import Kind, L2Record
from schemas.units import NS_PER_SECOND
from tests.integration.misbehaving import until
from tests.integration.producing import symbols_of
from tests.integration.simulators import Simulator, simulator
from tests.producers.parted import read
from tests.support.patience import patient
from tests.support.tiers import tiered

pytestmark = pytest.mark.integration

OBFLOW = (sys.executable, "-m", "obflow")
LOST_S = 1.0
"""What is lost at most where a recorder is killed, by its flushes."""
VENUES = ("binance-futures", "bybit")
"""One whose books are fetched, one whose books come in the stream."""


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Whatever a simulated venue sends to anybody, and when."""
    noted: list[tuple[int, str]] = []
    put = Line.put

    def note(line: Line, text: str) -> bool:
        noted.append((time.time_ns(), text))
        return put(line, text)

    monkeypatch.setattr(Line, "put", note)
    return noted


async def start(venue: str, folder: Path, served: Simulator, *more: str) -> asyncio.subprocess.Process:
    urls = ("--websocket-url", served.server.websocket_url, "--rest-url", served.server.rest_url)
    words = ("record", venue, "--symbol", symbols_of(venue)[0], "--out", str(folder), "--rotate", "2s", "--json")
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*OBFLOW, *words, *urls, *more, stdout=pipe, stderr=pipe)


def parts_there(folder: Path) -> int:
    return len(list(folder.glob("*.frames.jsonl.gz")))


def entries(folder: Path) -> list[PartEntry]:
    found = load_manifest(folder)
    assert found is not None
    return found.parts


def missing(frames: Sequence[Frame], sent: Sequence[tuple[int, str]], until_ns: int, symbol: str) -> list[str]:
    """What was sent of an instrument well before a moment, and is not in a recording."""
    heard = {frame.raw.decode() for frame in frames if frame.via is Via.WS}
    last_ns = until_ns - int(patient(LOST_S) * NS_PER_SECOND)
    return [text for at_ns, text in sent if at_ns < last_ns and symbol in text and text not in heard]


async def command(*words: str) -> tuple[int, str, str]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*OBFLOW, *words, stdout=pipe, stderr=pipe, env={**os.environ})
    out, err = await asyncio.wait_for(process.communicate(), patient(60))
    return process.returncode or 0, out.decode(), err.decode()


def assert_has_books(path: Path, venue: str) -> None:
    """A part that lasted has a whole book of its own, and no gap."""
    replay = RecordingReplay(path, EXCHANGES[venue])
    records = [record for record in replay.records() if isinstance(record, L2Record)]
    assert Kind.SNAPSHOT in {record.kind for record in records}, path
    for stream in replay.router.streams.values():
        assert stream.is_live, path
        assert stream.counters.gaps == 0, path


@pytest.mark.parametrize("venue", tiered(VENUES, "bybit"))
async def test_a_killed_recorder_goes_on_and_loses_its_last_second_alone(
    venue: str, tmp_path: Path, sent: list[tuple[int, str]]
) -> None:
    folder = tmp_path / "parts"
    async with simulator(venue, symbols=symbols_of(venue)) as served:
        first = await start(venue, folder, served)
        await until(lambda: parts_there(folder) >= 4, 60)
        await asyncio.sleep(0.7)  # into the middle of a part
        killed_ns = time.time_ns()
        first.kill()
        await first.wait()
        before, before_parts = read(folder), list(folder.glob("*.gz"))
        second = await start(venue, folder, served)
        await until(lambda: parts_there(folder) > len(before_parts), 60)
        began_ns = time.time_ns()  # by now nobody sends to the one that was killed
        await until(lambda: parts_there(folder) >= len(before_parts) + 4, 60)
        stopped_ns = time.time_ns()
        second.terminate()
        out, err = await asyncio.wait_for(second.communicate(), patient(30))
    assert second.returncode == 0, err
    summary: dict[str, Any] = json.loads(out.decode().splitlines()[-1])
    whole = read(folder)

    symbol = symbols_of(venue)[0]
    assert len(sent) > 100
    assert missing(before, sent, killed_ns, symbol) == []
    assert missing(whole, [one for one in sent if one[0] > began_ns], stopped_ns, symbol) == []
    assert whole[: len(before)] == before
    written = (line for part in summary["parts"] for line in Recording(folder / part).lines())
    assert summary["lines"] == sum(not line.repeated for line in written)

    ended = [entry.ended for entry in entries(folder)]
    cut = ended.index(PartEnd.CUT_OFF)
    assert ended == [PartEnd.ROTATED] * cut + [PartEnd.CUT_OFF] + [PartEnd.ROTATED] * (len(ended) - cut - 2) + [
        PartEnd.STOPPED
    ]
    assert [number for number, entry in enumerate(entries(folder)) if not entry.continues] == [0, cut + 1]
    for entry in entries(folder)[1 : cut - 1]:
        assert_has_books(folder / entry.name, venue)

    code, out_text, err_text = await command("verify", str(folder), "--json")
    assert (code, err_text) == (0, ""), (out_text, err_text)
    [book] = json.loads(out_text)["instruments"].values()
    assert (book["state"], book["gaps"], book["quotes_wrong"]) == ("LIVE", 0, 0)
