"""What every test shares: hypothesis without a stopwatch, and the folder of recorded frames."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.integration.backends import describe_choice

# A shared machine makes any per-example deadline a flake; the examples themselves are bounded.
settings.register_profile("obflow", deadline=None, max_examples=50)
settings.load_profile("obflow")

RECORDINGS = Path(os.environ.get("OBFLOW_RECORDINGS", Path(__file__).parents[2] / "shared" / "data"))


def pytest_report_header() -> list[str]:
    found = "found" if RECORDINGS.is_dir() else "absent, tests marked `recorded` are skipped"
    return [f"recordings: OBFLOW_RECORDINGS={RECORDINGS} ({found})", f"backend: {describe_choice()}"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if RECORDINGS.is_dir():
        return
    skip = pytest.mark.skip(reason=f"no recorded frames at {RECORDINGS}: set OBFLOW_RECORDINGS")
    for item in items:
        if item.get_closest_marker("recorded"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of recorded frames; a test that uses it is marked `recorded`."""
    return RECORDINGS
