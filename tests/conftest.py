"""What every test shares: hypothesis without a stopwatch, the folders of recorded frames and of known faults."""

import gc
import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from obflow.compiled_cache import keep_compiled
from obflow.settings import Settings
from tests.integration.backends import describe_choice
from tests.support import shared
from tests.support.feed_seeds import describe_seeds
from tests.support.patience import VARIABLE, factor

# A shared machine makes any per-example deadline a flake; the examples themselves are bounded. Each run has new ones.
settings.register_profile("obflow", deadline=None, max_examples=50 if os.environ.get("OBFLOW_FUZZ") == "all" else 20)
settings.load_profile("obflow")

RECORDINGS = Path(os.environ.get("OBFLOW_RECORDINGS", Path(__file__).parents[2] / "shared" / "data"))
CASES = Path(os.environ.get("OBFLOW_CASES", Path(__file__).parents[2] / "shared" / "cases"))
"""One small input for each kind of fault that public reports describe; see the README in it."""


def pytest_report_header() -> list[str]:
    found = "found" if RECORDINGS.is_dir() else "absent, tests marked `recorded` are skipped"
    cases = "found" if CASES.is_dir() else "absent, tests marked `cases` are skipped"
    return [
        f"recordings: OBFLOW_RECORDINGS={RECORDINGS} ({found})",
        f"cases: OBFLOW_CASES={CASES} ({cases})",
        f"backend: {describe_choice()}",
        f"feed seeds: {describe_seeds()}",
        f"deadlines: times {factor():.1f} (measured now; {VARIABLE} gives another)",
    ]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without looking for garbage: what is collected stays to the end, and is never looked through again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what has no input here; and begin with the files that take long, so that short ones fill the end."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)
    skip = pytest.mark.skip(reason=f"no recorded frames at {RECORDINGS}: set OBFLOW_RECORDINGS")
    without = pytest.mark.skip(reason=f"no cases at {CASES}: set OBFLOW_CASES")
    for item in items:
        if item.get_closest_marker("recorded") and not RECORDINGS.is_dir():
            item.add_marker(skip)
        if item.get_closest_marker("cases") and not CASES.is_dir():
            item.add_marker(without)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of recorded frames; a test that uses it is marked `recorded`."""
    return RECORDINGS


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of cases; a test that uses it is marked `cases`."""
    return CASES


def pytest_configure(config: pytest.Config) -> None:
    """Measure the machine before the workers start, so that all of them have one factor; share what is compiled."""
    factor()
    keep_compiled(Settings.load().cache)
    folder = shared.begin()
    if folder is not None:
        config.add_cleanup(lambda: shared.end(folder))
