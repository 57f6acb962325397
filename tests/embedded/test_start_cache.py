"""What makes a broker start quicker is named after all that it depends on, and used only where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedded import start_cache


def test_another_class_path_runtime_or_option_is_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jars = [tmp_path / "jars" / "lock" / name for name in ("a.jar", "b.jar")]
    names = {start_cache.path_of(jars, ["-Xmx1g"])}
    names.add(start_cache.path_of(jars[::-1], ["-Xmx1g"]))
    names.add(start_cache.path_of(jars, ["-Xmx2g"]))
    monkeypatch.setattr(start_cache, "version", lambda _: "another")
    names.add(start_cache.path_of(jars, ["-Xmx1g"]))

    assert len(names) == 4
    assert {name.parent for name in names} == {tmp_path / "jars"}


def test_without_the_file_the_runtime_starts_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "start.aot"
    assert start_cache.options_for(path) == ()
    path.touch()
    assert f"-XX:AOTCache={path}" in start_cache.options_for(path)
