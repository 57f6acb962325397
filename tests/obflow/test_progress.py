"""Progress bars: for people at a terminal, and for nobody else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from obflow.progress import TOLD_EVERY, Bar, progress
from tests.obflow.hostile import HOSTILE, obeyed_on_a_terminal
from tests.obflow.terminal import on_terminal

WIPED = "\x1b[2K"
"""What a terminal is told to make a line empty."""


def test_where_there_is_no_terminal_nothing_is_drawn(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress("reading", 3) as bar:
        assert list(bar.over(range(3))) == [0, 1, 2]
    assert capfd.readouterr() == ("", "")


def test_on_a_terminal_the_bar_comes_and_goes_and_standard_output_stays_untouched(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with on_terminal(monkeypatch) as terminal:
        with progress("reading [a] file", 200) as bar:
            assert sum(1 for _ in bar.over(range(200))) == 200
            print("printed meanwhile")  # noqa: T201
        drawn = terminal.drawn()
    assert "reading [a] file" in drawn
    assert "100%" in drawn
    assert drawn.endswith(WIPED)
    assert capfd.readouterr().out == "printed meanwhile\n"


def test_an_error_takes_the_bar_away_before_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    with on_terminal(monkeypatch) as terminal:
        with pytest.raises(ValueError, match="no more"), progress("reading") as bar:
            list(bar.over(broken()))
        assert terminal.drawn().endswith(WIPED)


@pytest.mark.parametrize("items", [0, 1, TOLD_EVERY, 2 * TOLD_EVERY + 1])
def test_every_item_is_counted_once(items: int) -> None:
    told: list[int] = []
    assert list(Bar(told.append).over(range(items))) == list(range(items))
    assert sum(told) == items
    assert len(told) <= items // TOLD_EVERY + 1


def test_a_name_from_outside_is_drawn_in_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    with on_terminal(monkeypatch) as terminal:
        with progress(f"reading {HOSTILE}", 1) as bar:
            list(bar.over(range(1)))
        assert obeyed_on_a_terminal(terminal.drawn().encode()) == ""
