r"""The one printer: what a command writes to a terminal goes through here, so that no text from outside gets there raw.

A venue, a symbol, an error, a payload or a model's words may hold what a terminal obeys (clear the screen, set the
clipboard, write over the line above) or what a reader cannot see (text that runs backwards, invisible letters). Each
such code point is shown as `\x1b`, `\u202e` or `\U000e0041`, a line break as `\n`, and a backslash as `\\`: what is
printed says exactly what the text was, and `$'…'` of bash reads it back. Letters, marks, signs, emoji and the plain
space are shown as they are.

Files, Kafka, tables and answers in a pipe are data, not a terminal: their bytes stay exact.
"""

from __future__ import annotations

import json
import shlex
import sys
import textwrap
import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TextIO

from schemas.errors import PipelineError
from schemas.masking import mask_credentials

if TYPE_CHECKING:
    import threading

    from rich.console import Console

# Letters and marks that Unicode calls printable though nothing is seen of them: joiners, fillers, variation selectors.
UNSEEN: Final = frozenset(
    chr(point)
    for first, last in (
        (0x034F, 0x034F),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFFA0, 0xFFA0),
        (0xE0100, 0xE01EF),
    )
    for point in range(first, last + 1)
)
LINE_AND_TAB: Final = frozenset("\n\t")
QUOTED: Final = "  "
"""Before each further line of quoted text, so that none can pass for a line of ours."""
_SHORT: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def escape_text(text: str) -> str:
    """Escape a text so that it stays on its line and shows all it holds; two texts never look the same.

    Shown is what `str.isprintable` says, without `UNSEEN`: no control, format, surrogate, private or unassigned code
    point, no line or paragraph separator, and no space but the plain one.
    """
    return _escaped(text.replace("\\", r"\\"))


def escape_lines(text: str) -> str:
    """Escape what is quoted whole, a traceback or the end of a log: its lines, tabs and backslashes stay."""
    return _escaped(text, LINE_AND_TAB)


def quoted_lines(text: str) -> str:
    """The same, each line after the first one further in."""
    first, line, rest = escape_lines(text).partition("\n")
    return first + line + textwrap.indent(rest, QUOTED)


def json_text(value: object) -> str:
    r"""Render a value as one line of JSON, with a `\u` escape for every code point that `escape_text` escapes.

    What JSON does not know is written as text; NumPy's numbers and keys of any type are known.
    """
    import orjson

    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    try:
        text = orjson.dumps(value, default=str, option=options).decode()
    except TypeError:  # half a character, as the name of a file may hold
        text = orjson.dumps(_in_ascii(value), default=_in_ascii, option=options).decode()
    return text if text.isascii() and text.isprintable() else "".join(map(_json_shown, text))


def say(text: str) -> None:
    """Print one line of a result on standard output."""
    _write(sys.stdout, escape_text(text))


def say_lines(text: str) -> None:
    """Print lines that are ours, or quoted as Python quotes, on standard output."""
    _write(sys.stdout, escape_lines(text))


def say_answer(answer: bytes) -> None:
    """Hand on an answer in a format for machines: to the byte in a pipe, its lines escaped on a terminal."""
    if sys.stdout.isatty():
        sys.stdout.write(escape_lines(answer.decode("utf-8", "backslashreplace")))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(answer)
    sys.stdout.flush()


def tell(text: str) -> None:
    """Tell a person one line on standard error."""
    _write(sys.stderr, escape_text(text))


def tell_lines(text: str) -> None:
    """Tell a person a sentence on standard error, and below it what it quotes."""
    _write(sys.stderr, quoted_lines(text))


def tell_error(error: PipelineError) -> None:
    """Tell a person what went wrong: one line, and below it what its next step quotes."""
    sentence = str(error)
    cause = sentence.removesuffix(error.next_step)
    _write(sys.stderr, f"obflow: {escape_text(cause)}{quoted_lines(sentence[len(cause) :])}")


def tell_traceback(error: BaseException) -> None:
    """Show where an error came from, on standard error."""
    tell_lines(mask_credentials("".join(traceback.format_exception(error))).rstrip("\n"))


def tell_thread_error(failed: threading.ExceptHookArgs) -> None:
    """Show what ended a thread; in the place of `threading.excepthook`."""
    if failed.exc_value is not None and not isinstance(failed.exc_value, SystemExit):
        tell(f"obflow: the thread {failed.thread.name if failed.thread else 'unknown'} failed")
        tell_traceback(failed.exc_value)


def console(*, stderr: bool = False) -> Console:
    """A console of rich that takes every `str` for text: escaped, no markup, no emoji codes.

    Give it, and its tables, plain strings: a `Text` of your own passes as it is.
    """
    from rich.console import Console
    from rich.text import Text

    class Printer(Console):
        def render_str(self, text: str, **options: object) -> Text:
            return super().render_str(escape_text(text), **{**options, "markup": False, "emoji": False})  # type: ignore[arg-type]

    return Printer(stderr=stderr)


def print_columns(names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table without lines, so that it can be read at 80 columns: sentences wrap, and figures stay whole.

    Where not even the figures have room beside each other, each row is a line of names and values.
    """
    from rich.table import Table

    from obflow.columns import widths

    screen, rows = console(), [[*row] for row in rows]
    escaped = [[*map(escape_text, row)] for row in rows]
    longest = [max(map(len, column)) for column in zip(names, *escaped, strict=True)]
    gap = 2 if sum(longest) + 2 * len(longest) <= screen.width else 1
    fitting = widths(names, escaped, screen.width - gap * (len(names) - 1))
    if fitting is None:
        for row in rows:
            say("  ".join(f"{name} {value}" for name, value in zip(names, row, strict=True)))
        return
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0))
    for name, width in zip(names, fitting, strict=True):
        table.add_column(name, overflow="fold", width=width)
    for row in rows:
        table.add_row(*row)
    screen.print(table)


def pad(text: str, width: int) -> str:
    """The text, not escaped yet, with spaces up to this many columns of a terminal; longer text stays whole."""
    from rich.cells import cell_len

    return text + " " * (width - cell_len(escape_text(text)))


def shell_word(text: str) -> str:
    """The text as a word of bash, itself printable."""
    if escape_lines(text) == text and not LINE_AND_TAB & set(text):
        return shlex.quote(text)
    return f"$'{escape_text(text).replace(chr(39), chr(92) + chr(39))}'"


def _write(stream: TextIO, text: str) -> None:
    stream.write(text + "\n")
    stream.flush()


def _escaped(text: str, keep: frozenset[str] = frozenset()) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if character in keep else _shown(character) for character in text)


def _is_shown(character: str) -> bool:
    return character.isprintable() and character not in UNSEEN


def _shown(character: str) -> str:
    point = ord(character)
    if _is_shown(character):
        return character
    if point < 0x80:
        return _SHORT.get(character) or f"\\x{point:02x}"
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"


def _json_shown(character: str) -> str:
    if _is_shown(character):
        return character
    return "\\u007f" if character == "\x7f" else json.dumps(character).strip('"')


def _in_ascii(value: object) -> object:
    import orjson

    if isinstance(value, Mapping):
        return {_whole(str(key)): _in_ascii(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_in_ascii(inner) for inner in value]
    if value is None or isinstance(value, int | float):
        return value
    return orjson.Fragment(json.dumps(str(value)))


def _whole(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
