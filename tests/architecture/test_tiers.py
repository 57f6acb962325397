"""What `make test` leaves out repeats a kind of which it keeps one, and each kind that matters most is kept by name."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.architecture.test_repository import ROOT
from tests.support.tiers import tiered

MARK = "mark.exhaustive"
FILES = sorted(path for path in (ROOT / "tests").rglob("test_*.py") if "compose" not in path.parts)
KINDS = {
    "a killed worker and a killed sink": "tests/e2e/test_faults.py::"
    "test_a_killed_worker_and_a_killed_sink_lose_and_double_nothing",
    "a broker that goes away": "tests/integration/test_processor_broker_away.py::"
    "test_a_broker_that_is_away_costs_a_worker_no_event_no_person_and_few_lines",
    "a database that goes away": "tests/integration/test_database_away.py::"
    "test_a_database_that_is_away_under_load_costs_no_row_no_person_and_few_lines",
    "bad records in every topic": "tests/e2e/test_poison.py::"
    "test_no_record_ends_or_blinds_a_role_and_each_bad_one_is_a_letter",
    "the demo with every stage": "tests/e2e/test_demo.py::"
    "test_a_short_demo_stores_what_it_received_and_leaves_no_process",
    "a page in a browser": "tests/integration/test_browser_attacks.py::test_a_page_in_chromium_executes_nothing",
    "TLS and logins": "tests/integration/test_kafka_secured.py::test_a_pipeline_works_through_tls_and_logins_alone",
}


def tiers_of(source: str) -> dict[str, bool]:
    """Each test of a module, and whether it is exhaustive whatever its parameters."""
    tree = ast.parse(source)
    whole = any(MARK in ast.unparse(node) for node in tree.body if isinstance(node, ast.Assign) and _is_mark(node))
    return {
        node.name: whole or any(ast.unparse(mark).endswith(MARK) for mark in node.decorator_list)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def _is_mark(node: ast.Assign) -> bool:
    return ast.unparse(node.targets[0]) == "pytestmark"


def keepers(source: str) -> list[Path]:
    """The files that a module's docstring names."""
    return [ROOT / name for name in re.findall(r"tests/[\w/]+\.py", ast.get_docstring(ast.parse(source)) or "")]


def keeps_its_kind(source: str) -> bool:
    """Whether the quick tier has a test of this module, or of one that it names."""
    if not all(tiers_of(source).values()):
        return True
    return any(path.exists() and not all(tiers_of(path.read_text("utf-8")).values()) for path in keepers(source))


def test_a_file_of_repetitions_keeps_one_of_them_or_names_the_file_that_does() -> None:
    texts = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in FILES}
    assert sum(MARK in text for text in texts.values()) > 10
    assert [name for name, text in texts.items() if MARK in text and not keeps_its_kind(text)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_that_matters_most_is_kept_by_name(kind: str) -> None:
    path, _, name = KINDS[kind].partition("::")
    assert tiers_of((ROOT / path).read_text("utf-8"))[name] is False


def test_what_a_mark_says_is_read_wherever_it_stands() -> None:
    marked = f"@pytest.{MARK}\ndef test_a(): ...\n"
    assert tiers_of(marked + "class TestB:\n    def test_b(self): ...\n") == {"test_a": True, "test_b": False}
    assert tiers_of(f"pytestmark = [pytest.{MARK}]\ndef test_c(): ...\n") == {"test_c": True}
    assert not keeps_its_kind(marked)
    assert not keeps_its_kind(f'"""As tests/no_such.py does."""\n{marked}')
    assert keeps_its_kind(f'"""As tests/architecture/{Path(__file__).name} does."""\n{marked}')


def test_make_test_leaves_out_what_is_exhaustive_and_make_test_all_nothing() -> None:
    quick, whole = (_pytest_of(target) for target in ("test", "test-all"))
    assert quick.replace('-m "not exhaustive" ', "") == whole
    assert whole != quick


def _pytest_of(target: str) -> str:
    said = subprocess.run(
        ["make", "-n", "--no-print-directory", target], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    [line] = [line for line in said.splitlines() if "bin/pytest -n" in line]
    return re.sub(r"\s+", " ", line)


def test_parameters_keep_their_order_and_what_is_kept_has_to_be_there() -> None:
    first, second = tiered([("a", 1), ("b", 2)], ("b", 2))
    assert (first.values, [mark.name for mark in first.marks]) == (("a", 1), ["exhaustive"])
    assert second == ("b", 2)
    with pytest.raises(ValueError, match="name those"):
        tiered(["a"], "b")
    with pytest.raises(ValueError, match="name those"):
        tiered(["a"])
