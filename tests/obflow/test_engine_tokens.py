"""The embedded engine's tokens, and the book in which commands find them."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from obflow import engine_tokens

PORT = 41_234


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(engine_tokens.tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return tmp_path / "home"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def entry(home: Path) -> Path:
    return home / ".cache" / "obflow" / "engines" / str(PORT)


def test_an_engine_is_found_by_its_port(home: Path, data: Path) -> None:
    made = engine_tokens.make(data)
    engine_tokens.announce(PORT, data)
    assert engine_tokens.find(PORT) == engine_tokens.read(data) == made
    assert engine_tokens.find(PORT + 1) is None
    assert made.reader != made.writer
    assert made.reader not in entry(home).read_text("utf-8")


def test_nobody_else_may_read_tokens_or_book(home: Path, data: Path) -> None:
    before = os.umask(0)
    try:
        engine_tokens.make(data)
        engine_tokens.announce(PORT, data)
    finally:
        os.umask(before)
    for path in (*data.iterdir(), entry(home)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(entry(home).parent.stat().st_mode) == 0o700


def test_each_start_makes_new_ones(data: Path) -> None:
    first = engine_tokens.make(data)
    second = engine_tokens.make(data)
    assert not {*first} & {*second}
    assert {path.name for path in data.iterdir()} == {"reader.token", "writer.token"}


def test_an_engine_that_has_ended_is_forgotten(home: Path, data: Path) -> None:
    engine_tokens.make(data)
    engine_tokens.announce(PORT, data)
    told = json.loads(entry(home).read_text("utf-8"))
    entry(home).write_text(json.dumps({**told, "pid": 2**22 + 1}), "utf-8")
    assert engine_tokens.find(PORT) is None
    engine_tokens.announce(PORT + 1, data)
    assert not entry(home).exists()


@pytest.mark.parametrize("text", ["", "not json", "[]", "{}", '{"pid": "x", "folder": "y"}', '{"pid": 1}'])
def test_an_entry_that_makes_no_sense_is_none(home: Path, data: Path, text: str) -> None:
    engine_tokens.announce(PORT, data)
    entry(home).write_text(text, "utf-8")
    assert engine_tokens.find(PORT) is None


def test_an_entry_somebody_else_could_have_written_is_none(home: Path, data: Path) -> None:
    engine_tokens.make(data)
    engine_tokens.announce(PORT, data)
    entry(home).chmod(0o666)
    assert engine_tokens.find(PORT) is None


def test_without_a_home_that_can_be_written_the_temporary_folder_serves(home: Path, data: Path, tmp_path: Path) -> None:
    home.write_text("a file where the folder would be", "utf-8")
    made = engine_tokens.make(data)
    engine_tokens.announce(PORT, data)
    assert engine_tokens.find(PORT) == made
    assert (tmp_path / "temporary" / f"obflow-{os.geteuid()}" / "engines" / str(PORT)).exists()


def test_without_any_place_it_is_said(home: Path, data: Path, tmp_path: Path) -> None:
    home.write_text("", "utf-8")
    (tmp_path / "temporary").rmdir()
    (tmp_path / "temporary").write_text("", "utf-8")
    with pytest.raises(NotADirectoryError):
        engine_tokens.announce(PORT, data)
