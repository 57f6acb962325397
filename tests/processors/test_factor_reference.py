"""`docs/factors.md` is what the list of factors and the docstrings of their functions make of it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from processors.factor_reference import PAGE, FactorText, as_markdown, first_versions, main, said_of
from processors.factors.reference import COMPUTE
from schemas.factors import FACTOR_NAMES, FACTORS

ROOT = Path(__file__).parents[2]


def test_the_committed_page_is_what_the_list_and_the_functions_give() -> None:
    assert (ROOT / PAGE).read_text("utf-8") == as_markdown(), "run `make factor`"


def test_every_factor_has_one_line_with_all_that_is_known_of_it() -> None:
    lines = as_markdown().splitlines()
    for factor in FACTORS:
        (line,) = [line for line in lines if line.startswith(f"| `{factor.name}` |")]
        assert len(re.findall(r"(?<!\\)\|", line)) == 8, "a bar that is not escaped would begin a column"
        plain = line.replace("\\|", "|")
        for part in (factor.unit, factor.meaning):
            assert f"| {part} |" in plain


@pytest.mark.parametrize("name", FACTOR_NAMES)
def test_no_word_of_a_docstring_is_lost(name: str) -> None:
    text = inspect.getdoc(COMPUTE[name]) or ""
    said = said_of(text)
    assert said.definition
    assert sorted(words(f"{said.definition} {said.null}")) == sorted(
        words(text.replace("null ", "").replace("Null ", ""))
    )


def words(text: str) -> list[str]:
    return [word for word in (part.strip(".;") for part in text.split()) if word]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A/B, base units.", FactorText("A/B, base units.", "")),
        ("A/B; null where B is 0.", FactorText("A/B.", "where B is 0")),
        ("A/B.\n\nNull where B is 0,\nor 1. After Doe 2001.", FactorText("A/B. After Doe 2001.", "where B is 0, or 1")),
        ("A/B; 0 without; null until then. C.", FactorText("A/B; 0 without. C.", "until then")),
        ("Null until it is. A.", FactorText("A.", "until it is")),
    ],
)
def test_a_docstring_is_parted_into_its_definition_and_its_nulls(text: str, said: FactorText) -> None:
    assert said_of(text) == said


def test_since_is_the_first_schema_that_has_a_factor() -> None:
    since = first_versions()
    assert (since["mid"], since["bid_known_bps"], since["rv_5s"]) == (1, 2, 3)
    assert set(FACTOR_NAMES) <= set(since)


def test_the_command_writes_it_into_a_checkout(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    assert main(tmp_path) == 0
    assert (tmp_path / PAGE).read_text("utf-8") == as_markdown()
