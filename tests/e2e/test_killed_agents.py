"""Every agent beyond the books is killed again and again under a whole pipeline; then the audit reads every table.

`make test` has its kind in tests/integration/test_stages.py.
"""

from __future__ import annotations

import json
import os
import signal
import uuid
from pathlib import Path

import pytest

from tests.e2e.test_demo import MARK, START_S, left_behind, read_or_nothing, start, told_until
from tests.support.patience import patient
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.exhaustive]

AGENTS = {
    "regimes": ("obflow", "regimes"),
    **{name: ("--stage", name) for name in ("signals", "anomalies", "levels", "staleness", "quotes", "arbitrage")},
}
"""What each one's command line has."""
KILLS = 3
"""Of each."""
BACK_S = 45.0
BETWEEN = "processors "
"""A line of the picture, which is told every five seconds."""


def running_as(mark: str, words: tuple[str, ...]) -> list[int]:
    """Processes of a demo whose command line has these words."""
    wanted = b"\0".join(word.encode() for word in words) + b"\0"
    return [
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if wanted in read_or_nothing(process / "cmdline")
        and not read_or_nothing(process / "cmdline").startswith(b"/bin/sh")
        and f"{MARK}={mark}\0".encode() in read_or_nothing(process / "environ")
    ]


def test_agents_killed_again_and_again_lose_and_double_nothing_in_any_table(tmp_path: Path) -> None:
    mark = f"demo-{uuid.uuid4()}"
    running = start(mark, "--json", "--data", str(tmp_path), "--workers", "1")
    told_until(running, "first factor event")
    killed = 0
    for _ in range(KILLS):
        for words in AGENTS.values():
            assert eventually(lambda words=words: len(running_as(mark, words)) == 1, BACK_S), words
            [before] = running_as(mark, words)
            told_until(running, BETWEEN)  # it has had seconds to work in
            os.kill(before, signal.SIGKILL)
            killed += 1
            assert eventually(lambda words=words, before=before: set(running_as(mark, words)) - {before}, BACK_S), words
    for _ in range(15):  # signals want a minute of history
        told_until(running, BETWEEN)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=patient(START_S))
    result = json.loads(out.splitlines()[-1])

    assert running.returncode == 0, err[-4000:]
    assert killed == KILLS * len(AGENTS)
    assert (result["lost"], result["duplicates"]) == (0, 0)
    assert "not drained" not in err
    assert all(result["rows"][table] > 0 for table in ("regimes", "signals", "quotes")), result["rows"]
    assert left_behind(mark) == []
    print(f"{killed} kills; rows {result['rows']}")  # noqa: T201
