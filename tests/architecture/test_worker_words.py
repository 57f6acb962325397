"""`processors/worker` runs any stage: it knows none, and no word of what stages are about."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "processors" / "worker"
WORDS = re.compile(
    r"book|regime|factor|imbalance|snapshot|resync|\bl2\b|quote|trade|spread|\bticks?\b|\blots?\b|signal|anomal|arbitrage"
    r"|window|verdict|prompt|\bllm\b|language model|\bvenue|\bsymbol|instrument",
    re.IGNORECASE,
)
ALLOWED = {
    # A dead letter says whose record it is about, where the record's key says it.
    "dead_letters.py": re.compile(r"InstrumentKey|instrument|venue|symbol"),
}


def words_in(name: str, text: str) -> list[str]:
    """Every domain word of a file, as `line: text`."""
    text = ALLOWED[name].sub("", text) if name in ALLOWED else text
    return [f"{number}: {line.strip()}" for number, line in enumerate(text.splitlines(), 1) if WORDS.search(line)]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_a_worker_holds_no_word_of_any_stage(path: Path) -> None:
    assert words_in(path.name, path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "line", ["from processors.stages.books import BooksStage", "# every factor", "obi = Imbalance()"]
)
def test_a_planted_word_is_found(line: str) -> None:
    assert words_in("agent.py", f"\n{line}\n") != []
    assert words_in("dead_letters.py", f"\n{line}\n") != []
