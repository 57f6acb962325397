"""What decodes many records at once: compiled where the host can, else told in one line, and each goes by itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from schemas.kernel import factor_columns, factor_events
from schemas.kernel.factor_columns import FactorEvents
from schemas.versions import newest
from sinks import compilation
from sinks.compilation import Compiled, compile_decoder, decoder_of
from sinks.tables import TABLES


def failing(payloads: Sequence[bytes], **shape: int) -> FactorEvents:
    raise RuntimeError("no locator\nfor this file")


def mistaken(payloads: Sequence[bytes], **shape: int) -> FactorEvents:
    found = DECODE(payloads, **shape)
    found.values[4, 0] += 1
    return found


DECODE = factor_events.decode_factor_events


def test_the_trial_on_this_host_finds_the_codecs_rows(tmp_path: Path) -> None:
    compiled = compile_decoder(tmp_path)
    assert (compiled.decode is None, compiled.why) == (False, "")


@pytest.mark.parametrize(
    ("broken", "why"), [(failing, "RuntimeError: no locator"), (mistaken, "its rows differ from the codec's")]
)
def test_a_host_where_it_does_not_work_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, broken: Any, why: str
) -> None:
    monkeypatch.setattr(factor_events, "decode_factor_events", broken)
    with capture_logs() as lines:
        assert decoder_of([TABLES["factors"], TABLES["trades"]], tmp_path) is None
    assert [(line["event"], line["why"]) for line in lines] == [("sink_not_compiled", why)]


def test_a_cache_that_cannot_be_used_is_told_likewise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(cache: Path) -> None:
        raise OSError("no space left on the device")

    monkeypatch.setattr(compilation, "keep_compiled", full)
    assert compile_decoder(tmp_path) == Compiled(None, "OSError: no space left on the device")


def test_a_schema_of_another_shape_is_left_to_the_codec(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(factor_columns, "EVENT", factor_columns.EVENT[:-1])
    assert compile_decoder(tmp_path).why == f"it knows another shape of records than {newest('factors').filename}"


def test_a_sink_of_other_tables_compiles_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(compilation, "compile_decoder", failing)
    assert decoder_of([TABLES["trades"], TABLES["regimes"]], tmp_path) is None


def test_whoever_feeds_no_factors_imports_no_compiler() -> None:
    script = (
        "import sys; from pathlib import Path; import sinks.service, sinks.commands;"
        "from sinks.compilation import decoder_of; from sinks.tables import TABLES;"
        "decoder_of([TABLES['trades']], Path('x')); sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0


def test_make_goes_on_where_nothing_compiles_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compilation, "compile_decoder", lambda cache: Compiled(None, "no compiler"))
    assert compilation.main() == 0
    assert "no compiler" in "".join(capsys.readouterr())
