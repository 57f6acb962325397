"""Benchmarks run on the integration tests' broker, and only where they are asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.integration.conftest import backend, broker

__all__ = ["backend", "broker"]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("OBFLOW_BENCH") == "1":
        return
    skip = pytest.mark.skip(reason="a benchmark measures minutes of an idle machine: `make bench` runs it")
    for item in items:
        if item.path.parent == HERE:  # what lies deeper tests what benchmarks are made of, and takes no time
            item.add_marker(skip)
