"""The deployment that the tests of this folder share, and what the header says of the engine and its images."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from tests.compose.deployment import Deployment
from tests.compose.engine import NoEngine, describe_engine, images, truly

LOG_LINES = 30


def pytest_report_header() -> list[str]:
    try:
        engine = describe_engine()
    except NoEngine as error:
        return [f"docker: {error}"]
    return [f"docker: {engine}", *(f"image {image}: {truly(image)}" for image in images().values())]


@pytest.fixture(scope="session")
def deployment(request: pytest.FixtureRequest) -> Iterator[Deployment]:
    """A deployment that leaves nothing behind. Without an engine it fails, since skipping would look like passing."""
    if problem := _engine_problem():
        pytest.fail(f"the deployment cannot be tried: {problem}", pytrace=False)
    made = Deployment()
    request.session.stash[_DEPLOYMENT] = made
    try:
        yield made
    finally:
        made.remove()


_DEPLOYMENT = pytest.StashKey[Deployment]()


def _engine_problem() -> str:
    try:
        describe_engine()
    except NoEngine as error:
        return str(error)
    return ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    """Show what the services said, while they are still there to be asked."""
    report = yield
    made = item.session.stash.get(_DEPLOYMENT, None)
    if report.failed and call.when == "call" and made is not None:
        report.sections.append(("what the services said", made.logs(LOG_LINES)))
    return report
