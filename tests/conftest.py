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
    skip = pytest.mark.skip(reason=f"no recorded frames at {RECORDINGS}: set OBFLOW_RECORDINGS")
    # Those that start servers share them, and wait more than they compute: one after the other, beside all the rest.
    servers = pytest.mark.xdist_group("servers")
    for item in items:
        if item.get_closest_marker("recorded") and not RECORDINGS.is_dir():
            item.add_marker(skip)
        if item.get_closest_marker("integration") or item.get_closest_marker("e2e"):
            item.add_marker(servers)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of recorded frames; a test that uses it is marked `recorded`."""
    return RECORDINGS
