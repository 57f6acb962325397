"""A backend that was asked for by name is the one that runs, or nothing runs."""

from __future__ import annotations

import pytest

from tests.integration import backends
from tests.integration.backends import Backend, BackendUnavailable, choose, describe_choice


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine where everything works, until a test takes something away."""
    monkeypatch.delenv("TEST_BACKEND", raising=False)
    monkeypatch.setattr(backends, "_native_problem", lambda: "")
    monkeypatch.setattr(backends, "_docker_problem", lambda: "")
    return monkeypatch


def without(machine: pytest.MonkeyPatch, name: str) -> None:
    machine.setattr(backends, f"_{name}_problem", lambda: f"{name} is missing")


@pytest.mark.parametrize("name", ["native", "docker"])
def test_a_named_backend_is_used(machine: pytest.MonkeyPatch, name: str) -> None:
    machine.setenv("TEST_BACKEND", name)
    assert choose() == Backend(name, "asked for by TEST_BACKEND")


@pytest.mark.parametrize("name", ["native", "docker"])
def test_a_named_backend_that_is_missing_is_never_replaced(machine: pytest.MonkeyPatch, name: str) -> None:
    without(machine, name)
    with pytest.raises(BackendUnavailable, match=f"TEST_BACKEND={name}, but {name} is missing"):
        choose(name)


def test_auto_prefers_what_needs_no_engine(machine: pytest.MonkeyPatch) -> None:
    assert choose().name == "native"
    without(machine, "native")
    assert choose() == Backend("docker", "auto: native is missing, and a docker engine answers")


def test_nothing_at_all_is_said_in_the_header(machine: pytest.MonkeyPatch) -> None:
    without(machine, "native")
    without(machine, "docker")
    assert describe_choice() == (
        "none, integration tests fail: no backend: native is missing, and docker is missing: run `make setup`"
    )


def test_a_misspelt_backend_is_refused(machine: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendUnavailable, match="TEST_BACKEND=dokcer is none of auto, docker, native"):
        choose("dokcer")
