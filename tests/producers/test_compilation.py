"""Which engine takes ordinary updates: the compiled one where it is wanted and works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from obflow.settings import Settings
from producers import compilation
from producers.books.kernel.engine import CompiledDeltas
from producers.compilation import find_engine
from producers.settings import ProducerSettings
from schemas.errors import DependencyError


def broken(cache: Path) -> str:
    return "no compiler"


def test_a_producer_takes_updates_compiled_where_that_is_wanted_and_works(tmp_path: Path) -> None:
    assert find_engine("reference", tmp_path) is None
    assert find_engine("auto", tmp_path) is CompiledDeltas
    assert find_engine("kernel", tmp_path) is CompiledDeltas


def test_a_producer_takes_them_one_by_one_where_it_does_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(compilation, "compile_updates", broken)
    assert find_engine("auto", tmp_path) is None


@pytest.mark.advice("set producer.engine=reference, which gives the same records more slowly")
def test_a_kernel_of_updates_that_is_named_and_does_not_work_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(compilation, "compile_updates", broken)
    with pytest.raises(DependencyError, match=r"no compiler: set producer\.engine=reference") as refused:
        find_engine("kernel", tmp_path)
    key, _, advised = str(refused.value).rpartition(" set ")[2].partition(",")[0].partition("=")
    for _ in range(3):
        assert find_engine(Settings.load({key: advised}).of(ProducerSettings).engine, tmp_path) is None


def test_a_producer_that_reads_record_by_record_imports_no_compiler() -> None:
    script = (
        "import sys; from producers.compilation import find_engine; from pathlib import Path;"
        "import producers.live.run, producers.recordings.replay, producers.exchanges;"
        "find_engine('reference', Path('x')); sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0
