"""Which engine runs: what is wanted, what the host can do, and what is said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from obflow.compiled_cache import CACHE_VARIABLE, ENGINE, is_compiled, keep_compiled, sources_digest
from obflow.settings import Settings
from processors import compilation
from processors.compilation import Chosen, choose_engine, with_engine
from processors.settings import ProcessorSettings, RegimeSettings
from schemas.errors import DependencyError, UsageError


def broken(cache: Path) -> str:
    return "no compiler"


@pytest.fixture
def compiled(tmp_path: Path) -> None:
    """What this session has compiled, known to be whole."""
    assert compilation.compile_kernel(tmp_path) == ""


@pytest.fixture
def nothing_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cache of its own, with nothing in it."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "empty"))


@pytest.mark.usefixtures("compiled")
def test_auto_is_the_compiled_engine_where_it_is_compiled(tmp_path: Path) -> None:
    assert choose_engine("auto", tmp_path) == Chosen("kernel")
    assert choose_engine("kernel", tmp_path) == Chosen("kernel")


@pytest.mark.usefixtures("nothing_compiled")
def test_auto_compiles_nothing_and_says_in_one_line_how_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(compilation, "compile_kernel", broken)
    with capture_logs() as lines:
        assert with_engine(ProcessorSettings(), tmp_path).engine == "reference"
    assert [(line["event"], line["engine"], line["why"]) for line in lines] == [
        ("engine_not_compiled", "reference", compilation.NOT_YET)
    ]


@pytest.mark.usefixtures("compiled")
def test_auto_is_the_reference_where_what_is_compiled_does_not_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(compilation, "compile_kernel", broken)
    assert choose_engine("auto", tmp_path) == Chosen("reference", "no compiler")


def test_auto_is_the_reference_where_the_cache_cannot_be_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(what: str, cache: Path) -> bool:
        raise OSError("no space left on the device")

    monkeypatch.setattr(compilation, "is_compiled", full)
    assert choose_engine("auto", tmp_path) == Chosen("reference", "OSError: no space left on the device")


def test_a_kernel_that_differs_from_the_reference_is_not_noted_as_compiled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("processors.factors.kernel.trial.trial", lambda: "its factors differ")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    assert compilation.compile_kernel(tmp_path) == "its factors differ"
    assert not is_compiled(ENGINE, tmp_path)


@pytest.mark.advice("set processor.engine=reference, which gives the same factors more slowly")
def test_a_kernel_that_is_named_and_does_not_compile_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(compilation, "compile_kernel", broken)
    with pytest.raises(DependencyError, match=r"no compiler: set processor\.engine=reference") as refused:
        with_engine(ProcessorSettings(engine="kernel"), tmp_path)
    key, _, advised = str(refused.value).rpartition(" set ")[2].partition(",")[0].partition("=")
    for _ in range(3):
        settings = Settings.load({key: advised}).of(ProcessorSettings)
        assert with_engine(settings, tmp_path).engine == "reference"


def test_what_a_compiler_says_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail() -> str:
        raise RuntimeError("no locator\nfor this file")

    monkeypatch.setattr("processors.factors.kernel.trial.trial", fail)
    assert compilation.compile_kernel(tmp_path) == "RuntimeError: no locator"


def test_another_name_is_that_engine_and_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(compilation, "compile_kernel", broken)
    assert choose_engine("reference", tmp_path) == Chosen("reference")
    with pytest.raises(UsageError, match="did you mean kernel"):
        choose_engine("kernal", tmp_path)


@pytest.mark.usefixtures("compiled")
def test_a_section_gets_the_engine_that_runs(tmp_path: Path) -> None:
    assert with_engine(ProcessorSettings(engine="auto"), tmp_path).engine == "kernel"
    section = RegimeSettings()
    assert with_engine(section, tmp_path) is section


def test_each_version_of_the_kernel_keeps_what_it_compiles_to_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(CACHE_VARIABLE)
    keep_compiled(tmp_path)
    assert os.environ[CACHE_VARIABLE] == str(tmp_path / "kernel" / sources_digest())


def test_a_cache_that_cannot_be_written_is_used_from_a_copy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "found").write_text("it")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(os, "access", lambda *_: False)
    keep_compiled(tmp_path)
    copy = Path(os.environ[CACHE_VARIABLE])
    assert copy != tmp_path
    assert (copy / "found").read_text() == "it"


def test_who_runs_the_reference_imports_no_compiler() -> None:
    script = (
        "import sys; from processors.compilation import choose_engine; from pathlib import Path;"
        "import processors.stages, processors.factors, sinks.contract, producers.exchanges;"
        "choose_engine('reference', Path('x')); sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0
