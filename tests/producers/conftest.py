"""Fixtures of the producers' tests."""

from __future__ import annotations

from typing import Any

import pytest

from obflow import kafka
from obflow.settings import Settings
from tests.producers.fake_kafka import FakeClient


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    made = FakeClient({})

    def make(_settings: Settings, overrides: dict[str, Any]) -> FakeClient:
        made.config = overrides
        return made

    monkeypatch.setattr(kafka, "producer", make)
    return made
