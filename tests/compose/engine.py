"""The Docker engine as the deployment test sees it: whether one answers, and what its images truly are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

from tests.support.patience import patient

ANSWER_SECONDS = 20.0
STANDIN_LABEL = "standin.of"
"""An image that stands in for an official one says in this label what is truly inside; others have no such label."""


class NoEngine(Exception):
    """Nothing can be deployed here; the test fails with this sentence."""


def docker(*words: str, timeout_s: float = 120.0) -> str:
    """Run a docker command that has to succeed; its standard output."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=patient(timeout_s))
    assert done.returncode == 0, f"docker {' '.join(words)}: exit {done.returncode}\n{done.stderr[-2000:]}"
    return done.stdout.strip()


def describe_engine() -> str:
    """Versions of the engine and of compose.

    Raises:
        NoEngine: One of them is not there, or does not answer.
    """
    if shutil.which("docker") is None:
        raise NoEngine("the docker command is not installed: install Docker with its compose plugin")
    for words, what, remedy in (
        (("version", "--format", "{{.Server.Version}}"), "no Docker engine answers", "start one, or set DOCKER_HOST"),
        (("compose", "version", "--short"), "docker compose does not work", "install the compose plugin"),
    ):
        try:
            done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=patient(ANSWER_SECONDS))
        except subprocess.TimeoutExpired:
            raise NoEngine(f"{what} within {ANSWER_SECONDS:g} s: {remedy}") from None
        if done.returncode:
            why = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no reason given"]
            raise NoEngine(f"{what} ({why[0]}): {remedy}")
    versions = docker("version", "--format", "{{.Server.Version}}"), docker("compose", "version", "--short")
    return f"engine {versions[0]}, compose {versions[1]}"


def inspect(kind: str, name: str) -> dict[str, Any] | None:
    """What the engine knows of a container, image, volume or network; None where it knows none of that name."""
    done = subprocess.run(
        ["docker", kind, "inspect", name], capture_output=True, text=True, timeout=patient(ANSWER_SECONDS)
    )
    return dict(json.loads(done.stdout)[0]) if done.returncode == 0 else None


def truly(image: str) -> str:
    """What an image truly is: a stand-in and for what, or as it was pulled or built."""
    found = inspect("image", image)
    if found is None:
        return "not here yet: it will be pulled"
    labels = found["Config"]["Labels"] or {}
    if STANDIN_LABEL in labels:
        return f"STAND-IN: {labels[STANDIN_LABEL]}"
    digests = found["RepoDigests"]
    return f"as pulled: {digests[0]}" if digests else f"built here: {found['Id'][:19]}"


def images() -> dict[str, str]:
    """The images the deployment is made of, by what docker-compose.yml calls them."""
    named = {
        "PYTHON_IMAGE": "python:3.11-slim-bookworm",
        "KAFKA_IMAGE": "apache/kafka:4.1.0",
        "CLICKHOUSE_IMAGE": "clickhouse/clickhouse-server:26.8",
    }
    return {variable: os.environ.get(variable) or default for variable, default in named.items()}
