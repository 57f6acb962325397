"""A recording in parts by the commands: as one it is the file to the bit, alone it says what it lacks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from obflow.cli import main
from obflow.clock import SystemClock
from producers.exchanges import EXCHANGES
from producers.recordings.manifest import MANIFEST
from producers.recordings.replay import Replay, ReplayPlan
from tests.support.parts import in_parts

VENUE = "binance-futures"
WHOLE = Path(__file__).parents[1] / "recordings" / f"{VENUE}.frames.jsonl.gz"


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """The recording of 25 s in parts of ten."""
    written = in_parts(WHOLE, tmp_path / "parts", VENUE, "BTCUSDT", part_s=10)
    assert len(written) == 3
    return written


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, dict[str, Any], str]:
    code = main([*map(str, words), "--json"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out), captured.err


def test_parts_as_one_are_the_file_to_the_bit(capsys: pytest.CaptureFixture[str], parts: list[Path]) -> None:
    for words in (["verify"], ["factors"], ["book", "--symbol", "BTCUSDT", "--at", "2024-01-01T00:00:20Z"]):
        whole = run(capsys, *words, WHOLE, "--venue", VENUE)
        assert whole[0] == 0
        assert run(capsys, *words, parts[0].parent) == run(capsys, *words, *reversed(parts)) == whole


def test_regimes_of_parts_are_judged_as_those_of_the_file(
    capsys: pytest.CaptureFixture[str], parts: list[Path]
) -> None:
    words = ("evaluate", "regimes", "--recording")
    whole = run(capsys, *words, WHOLE, "--venue", VENUE)

    assert whole[0] == 0
    assert run(capsys, *words, parts[0].parent) == whole


def test_parts_as_one_are_played_as_one(parts: list[Path]) -> None:
    def steps(*paths: Path) -> list[Any]:
        replay = Replay(paths, EXCHANGES[VENUE], ReplayPlan(), SystemClock())
        assert len(replay.digests()) == 1
        return [(step.received_ns, len(step.records)) for step in replay.played(lambda: False)]

    assert steps(parts[0].parent) == steps(*parts) == steps(WHOLE)


def test_a_part_alone_says_what_it_lacks(capsys: pytest.CaptureFixture[str], parts: list[Path]) -> None:
    code, report, said = run(capsys, "verify", parts[0])
    assert (code, said, report["instruments"]["BTCUSDT"]["state"]) == (0, "", "LIVE")

    code, report, said = run(capsys, "verify", parts[1])
    assert code == 1
    assert "BTCUSDT: AWAITING_SNAPSHOT at the end" in report["problems"][0]
    began = f"{parts[1].name} goes on from part 1, which is not read: BTCUSDT has no whole book in it"
    assert began in " ".join(said.split())


def test_a_hole_between_parts_is_no_book_that_is_believed(
    capsys: pytest.CaptureFixture[str], parts: list[Path]
) -> None:
    code, report, _ = run(capsys, "verify", parts[0], parts[2])
    found = report["instruments"]["BTCUSDT"]
    assert (code, found["state"], found["gaps"]) == (1, "INVALID", 0)


def test_what_is_not_as_listed_is_a_problem_each(capsys: pytest.CaptureFixture[str], parts: list[Path]) -> None:
    folder = parts[0].parent
    assert run(capsys, "verify", folder)[0] == 0

    parts[1].rename(folder / "moved.gz")
    code, report, said = run(capsys, "verify", folder)
    assert code == 1
    assert report["problems"][0].startswith(f"part {parts[1].name} is missing: ")
    assert report["problems"][0] in " ".join(said.split())

    (folder / "moved.gz").rename(parts[1])
    assert run(capsys, "verify", folder)[0] == 0
    (folder / MANIFEST).unlink()
    code, report, _ = run(capsys, "verify", folder)
    assert (code, report["problems"]) == (
        1,
        [f"{folder} has no {MANIFEST}: nothing says whether its parts are whole"],
    )
