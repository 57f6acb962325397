"""What makes a broker start quicker is named after all that it depends on, and used only where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedded import start_cache


@pytest.fixture
def java(tmp_path: Path) -> Path:
    runtime = tmp_path / "runtime"
    (runtime / "bin").mkdir(parents=True)
    (runtime / "release").write_text('JAVA_VERSION="25"', "utf-8")
    return runtime / "bin" / "java"


def test_another_class_path_runtime_or_option_is_another_file(tmp_path: Path, java: Path) -> None:
    jars = [tmp_path / "jars" / "lock" / name for name in ("a.jar", "b.jar")]
    names = {start_cache.path_of(jars, java, ["-Xmx1g"])}
    names.add(start_cache.path_of(jars[::-1], java, ["-Xmx1g"]))
    names.add(start_cache.path_of(jars, java, ["-Xmx2g"]))
    (java.parents[1] / "release").write_text('JAVA_VERSION="26"', "utf-8")
    names.add(start_cache.path_of(jars, java, ["-Xmx1g"]))

    assert len(names) == 4
    assert {name.parent for name in names} == {tmp_path / "jars"}


def test_without_the_file_the_runtime_starts_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "start.aot"
    assert start_cache.options_for(path) == ()
    path.touch()
    assert f"-XX:AOTCache={path}" in start_cache.options_for(path)
