"""docs/research.md: each of its commands runs, and prints what the page shows."""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from obflow.cli import command_entries, load_command
from obflow.settings import ClickHouseSettings, Settings
from processors.derived.fees import FeeTable
from processors.factors import engine_named
from processors.settings import FeeSettings
from producers.venue_names import exchange_named
from research.replay import FactorReplay, open_replay
from schemas.factors import FACTOR_SET
from schemas.logs import Position
from schemas.messages import ContractKind, FactorRecord, Source
from sinks.batching import Entry, RowBatch
from sinks.store import Store
from sinks.tables import TABLES
from tests.integration.made_tables import make_tables
from tests.integration.printing import PLAIN
from tests.sinks.records import origin_of
from tests.support.patience import patient

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "research.md"
VENUE = "binance-futures"
RECORDING = ROOT / "tests" / "recordings" / f"{VENUE}.frames.jsonl.gz"
FENCE = re.compile(r"^```(bash|sh|text)\n(.*?)^```$", re.M | re.S)
BLOCKS = FENCE.findall(PAGE.read_text("utf-8"))
ON_A_TERMINAL = """#!/bin/sh
case "$1" in query) shift; exec "{python}" -m obflow query --format=table "$@" ;; esac
exec "{python}" -m obflow "$@"
"""
"""A query prints a table where it prints to a terminal, as whoever follows the page has it."""


class Step(NamedTuple):
    """One block of commands, and what the page says that it prints."""

    commands: str
    shown: str


def steps() -> list[Step]:
    """The blocks that are run, in order, each with the output behind it."""
    following = [*BLOCKS[1:], ("", "")]
    return [
        Step(text, shown if kind == "text" else "")
        for (language, text), (kind, shown) in zip(BLOCKS, following, strict=True)
        if language == "bash"
    ]


def one_by_one(lines: str) -> Iterator[list[str]]:
    """The words of each command of a block that starts roles, or asks what only a long run has."""
    for line in re.split(r"\n|&&", lines.strip()):
        yield shlex.split(line)


@pytest.fixture
def filled(clickhouse: ClickHouseSettings) -> ClickHouseSettings:
    """A database with the recording's factors, as a sink stores them."""
    make_tables(clickhouse)
    replay = open_replay(RECORDING, exchange_named(VENUE), Settings())
    batch = RowBatch(TABLES["factors"])
    for number, item in enumerate(FactorReplay(replay, engine_named("reference")(1e4))):
        position = Position("log", 0, number)
        record = FactorRecord(*item.instrument, Source.REPLAY, FACTOR_SET, "l2", 0, [item.event], run="run")
        batch.add(Entry(position, TABLES["factors"].rows(record, position), b"", 0, origin_of(position)))
    with closing(Store(clickhouse)) as store:
        store.insert("factors", batch.arrow(0), "recording")
    return clickhouse


def surroundings(folder: Path, database: ClickHouseSettings) -> dict[str, str]:
    """A checkout to the eye of the commands, with this environment's programs and the test's database."""
    (folder / "tests").symlink_to(ROOT / "tests")
    programs = folder / "bin"
    programs.mkdir()
    program = programs / "obflow"
    program.write_text(ON_A_TERMINAL.format(python=sys.executable), "utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    python = programs / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', "utf-8")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    return {
        **os.environ,
        **PLAIN,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "OBFLOW_CLICKHOUSE__HOST": database.host,
        "OBFLOW_CLICKHOUSE__PORT": str(database.port),
        "OBFLOW_CLICKHOUSE__USER": database.user,
        "OBFLOW_CLICKHOUSE__PASSWORD": database.password.get_secret_value(),
        "OBFLOW_CLICKHOUSE__DATABASE": database.database,
    }


def plain(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def test_every_block_prints_what_the_page_shows(filled: ClickHouseSettings, tmp_path: Path) -> None:
    environment = surroundings(tmp_path, filled)
    for step in steps():
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", step.commands],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=patient(120),
        )
        assert done.returncode == 0, done.stderr
        assert plain(done.stdout) == plain(step.shown)


def test_there_are_blocks_to_run_and_each_shows_what_it_prints() -> None:
    assert len(steps()) >= 5
    assert all(step.shown for step in steps())


def test_the_file_and_the_tables_give_the_same() -> None:
    of_file, of_tables = (step.shown for step in steps() if "mean_move_bps" in step.shown)
    assert of_file == of_tables


@pytest.mark.parametrize("words", [words for kind, text in BLOCKS if kind == "sh" for words in one_by_one(text)])
def test_a_command_that_is_not_run_here_is_one_that_obflow_takes(words: list[str]) -> None:
    _, name, *arguments = words
    command = load_command(command_entries()[name])
    with command.make_context(name, [word.replace("tests/", f"{ROOT}/tests/") for word in arguments]) as context:
        inner = getattr(command, "commands", {})
        if inner:
            rest = [*context._protected_args, *context.args]
            with inner[rest[0]].make_context(rest[0], rest[1:], parent=context):
                pass


def test_the_page_says_of_the_default_fees_what_they_are() -> None:
    defaults = FeeSettings()
    text = PAGE.read_text("utf-8")
    dates = {line.split()[3] for line in defaults.table.split(";")}
    assert dates == set(re.findall(r"have the date (\S+),", text))
    assert dates == set(re.findall(r"Its defaults are rows of (\S+)", (ROOT / "README.md").read_text("utf-8")))
    assert f"of the tier `{defaults.tier}`" in text


def test_the_fees_that_the_page_sets_are_in_force() -> None:
    (tier,) = re.findall(r"export OBFLOW_FEES__TIER=(\S+)", PAGE.read_text("utf-8"))
    (rows,) = re.findall(r'export OBFLOW_FEES__TABLE="(.*)"', PAGE.read_text("utf-8"))
    table, at_ns = FeeTable(rows, tier), 1_796_083_200_000_000_000
    takers = {venue: table.in_force(venue, at_ns) for venue in ("binance-futures", "bybit", "okx")}
    assert {venue: row and row.taker_bps for venue, row in takers.items()} == {
        "binance-futures": 3.0,
        "bybit": 4.0,
        "okx": 4.0,
    }
    defaults = FeeTable(FeeSettings().table, FeeSettings().tier)
    assert defaults.in_force("okx", at_ns) is None
    assert defaults.in_force("okx", at_ns, ContractKind.LINEAR) is not None
