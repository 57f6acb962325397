"""The import contracts bite: each one breaks when somebody does what it forbids."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CONTRACTS = PROJECT["tool"]["importlinter"]["contracts"]
PACKAGES = PROJECT["tool"]["importlinter"]["root_packages"]
PURE = CONTRACTS[1]["source_modules"]

PLANTED = [
    ("Layers", "obflow/clock.py", "import producers.contract"),
    ("Layers", "sinks/batching.py", "import processors.factors.reference.price"),
    ("Layers", "schemas/topics.py", "import orderbook.book"),
    ("Layers", "orderbook/book.py", "import obflow.clock"),
    ("Pure parts", "schemas/digest.py", "import time"),
    ("Pure parts", "processors/factors/reference/price.py", "import asyncio"),
    ("Pure parts", "producers/exchanges/binance/spot.py", "import obflow.logs"),
    ("Pure parts", "producers/exchanges/new.py", "import time"),
    ("Pure parts", "producers/books/router.py", "import random"),
    ("Pure parts", "producers/books/new.py", "from pathlib import Path"),
    ("A venue", "producers/exchanges/binance/spot.py", "import producers.exchanges.binance.usd_m"),
    ("A family", "producers/exchanges/new.py", "import producers.exchanges.binance.spot"),
    ("Pure parts", "processors/stages/books.py", "import random"),
    ("Pure parts", "processors/factors/new.py", "from io import BytesIO"),
    ("Pure parts", "processors/regimes/new.py", "from datetime import datetime"),
    ("Replays in memory", "research/book.py", "import sinks.writer"),
    ("Research itself", "research/commands.py", "import confluent_kafka"),
    ("Faust", "sinks/batching.py", "import faust"),
    ("The Kafka client", "processors/worker/preflight.py", "import confluent_kafka"),
    ("The ClickHouse client", "sinks/contract.py", "import clickhouse_connect"),
    ("The language model", "processors/llm/asker.py", "import openai"),
    ("What providers charge", "processors/llm/asker.py", "import genai_prices"),
    ("The embedded default", "sinks/contract.py", "import chdb"),
]

BROKEN = re.compile(r"^(\S.*)\n-{5,}\n((?:(?!\S.*\n-{5,}\n).*\n)*)", re.M)
"""The name of a contract under a rule, and the imports that break it."""


def lint(tree: Path) -> str:
    program = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    command = [sys.executable, "-c", program, "--no-cache"]
    return subprocess.run(command, cwd=tree, env={"PYTHONPATH": str(tree)}, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said of each broken contract by its name, with every violation planted in a copy of the packages."""
    copy = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    for _, module, line in PLANTED:  # a new file is covered like one that is there
        with (copy / module).open("a", encoding="utf-8") as planted:
            planted.write(f"\n{line}\n")
    return dict(BROKEN.findall(lint(copy)))


@pytest.mark.parametrize(("contract", "module", "line"), PLANTED, ids=lambda value: str(value).replace(" ", "-"))
def test_a_planted_violation_breaks_its_contract(broken: dict[str, str], contract: str, module: str, line: str) -> None:
    [said] = [said for name, said in broken.items() if name.startswith(contract)]
    importer, imported = module.removesuffix(".py").replace("/", "."), line.split()[1]
    assert re.search(rf"(?<!\S){re.escape(f'{importer} -> {imported}')} \(", said), said


def test_every_contract_has_a_planted_violation() -> None:
    names = [contract["name"] for contract in CONTRACTS]
    assert [name for name in names if not any(name.startswith(planted) for planted, _, _ in PLANTED)] == []


def sources(module: str) -> list[Path]:
    """The files of a module or package."""
    path = ROOT / module.replace(".", "/")
    return sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def test_pure_parts_load_without_broker_database_or_worker() -> None:
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for module in PURE for path in sources(module)]
    program = f"import sys, importlib\nfor name in {names!r}: importlib.import_module(name)\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    third_party = {
        "faust",
        "aiokafka",
        "confluent_kafka",
        "clickhouse_connect",
        "chdb",
        "aiohttp",
        "websockets",
        "obflow",
    }
    assert third_party & {name.split(".")[0] for name in loaded.stdout.split()} == set()
