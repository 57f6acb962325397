"""The simulator itself knows no venue: what one is stands in its own file, and shares no code with the adapters."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from producers.exchanges import EXCHANGES
from producers.simulator.venues import SIMULATED

SIMULATOR = Path(__file__).parents[2] / "producers" / "simulator"
VENUE_FILES = sorted((SIMULATOR / "venues").glob("*.py"))
CORE = sorted(SIMULATOR.glob("*.py"))
FORMAT_FILE = "recording_files.py"  # writes metadata in the words of the captured recordings


def texts(path: Path) -> set[str]:
    """Every string that stands in a file's code."""
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def venue_words() -> set[str]:
    """Names of venues, and what their files say on the wire: camelCase fields, paths."""
    names = {part for name in (*SIMULATED, *EXCHANGES, "bybit", "okx", "deribit", "spot") for part in name.split("-")}
    said = {text for path in VENUE_FILES for text in texts(path)}
    return names | {text for text in said if re.fullmatch(r"[a-z]+[A-Z]\w*|/[\w/]+", text)}


def found(words: set[str], text: str) -> set[str]:
    """Which of these words a file's text holds, in code, comments or docstrings."""
    return {
        word
        for word in words
        if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text.lower() if word.islower() else text)
    }


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_no_word_of_a_venue_stands_in_the_simulator_itself(path: Path) -> None:
    words = venue_words()
    assert {"binance", "lastUpdateId", "serverShutdown", "depthUpdate", "/stream"} <= words
    text = path.read_text("utf-8")

    assert found(words, text + "\nreturn {'lastUpdateId': 1}  # as on Binance\n") >= {"binance", "lastUpdateId"}
    if path.name != FORMAT_FILE:
        assert found(words, text) == set()


def imports(path: Path) -> set[str]:
    """Modules a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    direct = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    return direct | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_the_simulator_itself_imports_no_venue(path: Path) -> None:
    assert [name for name in imports(path) if ".venues" in name] == []


@pytest.mark.parametrize("path", [*CORE, *VENUE_FILES], ids=lambda path: path.name)
def test_the_simulator_shares_no_code_with_what_it_is_the_yardstick_of(path: Path) -> None:
    ours = {name for name in imports(path) if name.startswith(("producers.", "orderbook"))}
    if path.name != FORMAT_FILE:  # which writes recordings as everybody does
        assert {name for name in ours if not name.startswith("producers.simulator.")} == set()


def test_every_venue_file_has_its_line() -> None:
    files = {path.stem for path in VENUE_FILES if path.stem != "__init__" and not path.stem.endswith("_family")}
    assert files == {name.replace("-", "_") for name in SIMULATED}


@pytest.mark.parametrize("name", SIMULATED)
def test_a_simulated_venue_is_one_file_of_its_name(name: str) -> None:
    assert SIMULATED[name].name == name
    assert SIMULATOR / "venues" / f"{name.replace('-', '_')}.py" in VENUE_FILES
    siblings = {other.replace("-", "_") for other in SIMULATED if other != name}
    own = imports(SIMULATOR / "venues" / f"{name.replace('-', '_')}.py")
    assert [module for module in own if module.rpartition(".")[2] in siblings] == []
