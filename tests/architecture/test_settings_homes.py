"""A role's settings live with the role: the runtime finds them by entry point, and holds none of them itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from obflow.settings.installed import SETTINGS_GROUP

ROOT = Path(__file__).parents[2]
RUNTIME = sorted((ROOT / "obflow").rglob("*.py"))
ENTRIES = {entry.name: entry for entry in entry_points(group=SETTINGS_GROUP)}
OWN = {"KafkaSettings", "ClickHouseSettings", "MetricsSettings", "StatusSettings", "LogSettings"}
NEEDED = {"__future__", "collections", "pathlib", "typing", "pydantic", "obflow"}
"""All that a role's settings may import, so that listing every setting needs no role's code."""


def sections_in(text: str) -> set[str]:
    """Names of the sections that a file declares."""
    classes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef))
    return {one.name for one in classes if any(ast.unparse(base).endswith("Section") for base in one.bases)}


def sections_read(text: str) -> set[str]:
    """Names of roles' sections that a file reads as attributes of settings."""
    read = "|".join(ENTRIES)
    return set(re.findall(rf"\b(?:settings|loaded|chosen)\.({read})\b", text))


def test_the_search_finds_what_it_looks_for() -> None:
    assert sections_in("class A(Section): pass\nclass B(sections.Section): pass\nclass C(Other): pass\n") == {"A", "B"}
    assert sections_read("a = self.settings.sink.group\nb = settings.sinker") == {"sink"}


def test_the_runtime_declares_its_own_sections_and_no_others() -> None:
    assert set().union(*(sections_in(path.read_text("utf-8")) for path in RUNTIME)) == OWN


@pytest.mark.parametrize("path", RUNTIME, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_runtime_reads_no_section_of_a_role(path: Path) -> None:
    assert sections_read(path.read_text("utf-8")) == set()


def test_every_section_of_a_role_is_registered_from_the_role_itself() -> None:
    declared = {
        f"{path.parent.name}.settings:{name}"
        for path in ROOT.glob("*/settings.py")
        for name in sections_in(path.read_text("utf-8"))
    }
    assert {entry.value for entry in ENTRIES.values()} == declared
    assert {entry.module.partition(".")[0] for entry in ENTRIES.values()} == {"producers", "processors", "sinks"}


@pytest.mark.parametrize("name", ENTRIES)
def test_a_roles_settings_import_nothing_of_the_role(name: str) -> None:
    path = ROOT / (ENTRIES[name].module.replace(".", "/") + ".py")
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    imported = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    imported |= {one.name for node in nodes if isinstance(node, ast.Import) for one in node.names}
    assert {one.partition(".")[0] for one in imported} <= NEEDED
    assert {one for one in imported if one.startswith("obflow")} == {"obflow.settings"}


def test_all_settings_are_known_without_a_client_or_a_roles_code() -> None:
    code = "import sys; from obflow.settings import reference; reference(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    roles = {name for name in loaded if name.partition(".")[0] in ("producers", "processors", "sinks", "research")}
    assert {name for name in roles if "." in name} == {entry.module for entry in ENTRIES.values()}
    assert loaded.isdisjoint({"faust", "confluent_kafka", "aiokafka", "clickhouse_connect", "openai", "aiohttp"})
