"""Whatever a text holds, a terminal gets letters: nothing it obeys, nothing unseen, and nothing is lost."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import unicodedata
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.table import Table

from obflow.terminal import (
    UNSEEN,
    console,
    escape_lines,
    escape_text,
    json_text,
    pad,
    say_answer,
    shell_word,
    tell_error,
    tell_thread_error,
    tell_traceback,
)
from schemas.errors import FatalError
from tests.obflow.hostile import ATTACKS, obeyed, unescape

ANY_TEXT = st.text(st.characters(categories=None, exclude_categories=())) | st.text(
    st.sampled_from([chr(point) for point in range(0xA1)] + [*"\\xuUnrt", *UNSEEN, *"\u202e\u2066\u200f\u061c\u2028"])
    | st.sampled_from([chr(point) for point in (0xD800, 0xDFFF, 0xE000, 0xFDD0, 0xFFFE, 0xFFFF, 0xE0041, 0x10FFFF)])
)
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))


@given(ANY_TEXT)
def test_an_escaped_text_holds_nothing_a_terminal_obeys(text: str) -> None:
    assert obeyed(escape_text(text)) == ""
    assert {"\n", "\t"}.isdisjoint(escape_text(text))


@given(ANY_TEXT)
def test_an_escaped_text_can_be_read_back(text: str) -> None:
    assert unescape(escape_text(text)) == text


def test_every_code_point_is_shown_or_escaped_by_its_category() -> None:
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
    for point in range(sys.maxunicode + 1):
        character = chr(point)
        is_hidden = (unicodedata.category(character) in hidden and character != " ") or character in UNSEEN
        assert (escape_text(character) != character) == (is_hidden or character == "\\"), hex(point)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("BTCUSDT", "BTCUSDT"),
        ("比特币 ₿ é 🚀", "比特币 ₿ é 🚀"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\r\n\tb", r"a\r\n\tb"),
        (r"\x1b", r"\\x1b"),
        ("\x7f\x9b", r"\x7f\u009b"),
        ("\u202e\ufeff\u2028", r"\u202e\ufeff\u2028"),
        ("\U000e0041\ud800", r"\U000e0041\ud800"),
    ],
)
def test_what_is_escaped_looks_as_python_and_bash_write_it(text: str, shown: str) -> None:
    assert escape_text(text) == shown


@given(ANY_TEXT)
def test_quoted_lines_keep_their_lines_and_hold_nothing_a_terminal_obeys(text: str) -> None:
    assert obeyed(escape_lines(text)) == ""
    assert escape_lines(text).count("\n") == text.count("\n")


@given(st.recursive(ANY_TEXT | st.integers(-5, 5), lambda inner: st.dictionaries(WORDS, inner) | st.lists(inner)))
def test_json_says_the_same_in_one_printable_line(value: object) -> None:
    text = json_text(value)
    assert obeyed(text) == ""
    assert "\n" not in text
    # Two halves written one after the other are one character to a reader of JSON, as to any reader of UTF-16.
    assert json.loads(text) == json.loads(json.dumps(value))


def test_json_knows_keys_and_values_with_half_a_character() -> None:
    found = json.loads(json_text({"\ud800": [Path("\udcff"), None, True], "price": Decimal("1.5")}))
    assert found == {r"\ud800": ["\udcff", None, True], "price": "1.5"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is what reads the word")
@given(st.lists(WORDS, min_size=1, max_size=30))
def test_a_word_for_bash_is_printable_and_means_the_text(texts: list[str]) -> None:
    words = [shell_word(text) for text in texts]
    script = "printf '%s\\0' " + " ".join(words)
    said = subprocess.run(["bash", "-c", script], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}).stdout
    assert [obeyed(word) for word in words] == [""] * len(words)
    assert said.decode().split("\0")[:-1] == texts


@given(st.lists(st.tuples(ANY_TEXT, ANY_TEXT), min_size=1, max_size=5))
def test_columns_of_a_table_stay_in_line_whatever_their_cells_hold(rows: list[tuple[str, str]]) -> None:
    screen = console()
    screen.width = 60
    table = Table(title=rows[0][1])
    for heading in rows[0]:
        table.add_column(heading)
    for row in rows:
        table.add_row(*row)
    with screen.capture() as captured:
        screen.print(table)
    printed = captured.get()
    bordered = [line for line in printed.split("\n") if line[:1] in tuple("┏┃┡│└")]
    assert obeyed(printed) == ""
    assert len({cell_len(line) for line in bordered}) == 1


@pytest.mark.parametrize("text", ["[red]BTC[/red]", "[link=http://x]BTC[/link]", ":rocket:", "[/]", "[@click=f]x"])
def test_a_value_is_never_taken_for_markup(text: str) -> None:
    screen = console()
    table = Table(text, title=text)
    table.add_row(text)
    with screen.capture() as captured:
        screen.print(text, table)
    assert captured.get().count(text) == 4


def test_wide_letters_are_padded_by_the_columns_they_take() -> None:
    assert {cell_len(pad(text, 12)) for text in ("BTC", "比特币", "e\u0301", "")} == {12}
    assert cell_len(escape_text(pad("\x1b", 12))) == 12


def test_an_error_is_one_line_and_what_its_next_step_quotes_is_further_in(capsys: pytest.CaptureFixture[str]) -> None:
    tell_error(FatalError("the \nsink ended", next_step="its last lines:\nobflow: all is well\x1b[2J", symbol="A\nB"))
    assert capsys.readouterr().err == (
        "obflow: the \\nsink ended (symbol=A\\nB): its last lines:\n  obflow: all is well\\x1b[2J\n"
    )


def test_a_traceback_keeps_its_lines_and_obeys_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError("a\nobflow: all is well\x1b]52;c;eA==\x07")
    except ValueError as error:
        tell_traceback(error)
    told = capsys.readouterr().err
    assert told.startswith("Traceback (most recent call last):\n")
    assert obeyed(told) == ""
    assert "\nobflow:" not in told


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_ends_a_thread_is_told_in_letters(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ValueError(ATTACKS["clear"])

    monkeypatch.setattr(threading, "excepthook", tell_thread_error)
    thread = threading.Thread(target=broken, name="\x1bname")
    thread.start()
    thread.join()
    told = capsys.readouterr().err
    assert obeyed(told) == ""
    assert r"the thread \x1bname failed" in told
    assert "ValueError" in told


def test_an_answer_for_machines_is_exact_in_a_pipe(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    answer = b"a\tb\n\x1b[2J\xff\t\\\\\xe2\x80\xae\n"
    say_answer(answer)
    assert capfdbinary.readouterr().out == answer


def test_an_answer_for_machines_is_escaped_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    say_answer(b"a\tb\n\x1b[2J\xff\t\\\\\xe2\x80\xae\n")
    assert capsys.readouterr().out == "a\tb\n" + r"\x1b[2J\xff" + "\t" + r"\\\u202e" + "\n"
