"""What the workers of a session share is made once, and gone with the session."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import shared


def test_what_is_made_once_is_read_by_whoever_asks_later(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(shared.VARIABLE, str(tmp_path))
    assert shared.made_once("texts", lambda: ["a", "{b}"]) == ["a", "{b}"]
    assert shared.made_once("texts", lambda: ["another"]) == ["a", "{b}"]
    assert shared.made_once("others", lambda: ["another"]) == ["another"]


def test_who_begins_a_session_has_its_folder_and_a_worker_of_it_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(shared.VARIABLE, raising=False)
    folder = shared.begin()
    assert folder is not None
    assert os.environ[shared.VARIABLE] == str(folder)
    assert shared.begin() is None
    shared.end(folder)
    assert (folder.exists(), shared.VARIABLE in os.environ) == (False, False)
