"""A request's statement and the data behind it, and the words in which a statement is refused.

Where an INSERT's text ends and its rows begin is found here, in bytes that may be anything. Nothing is judged: what is
taken for the text goes through the engine's own parser, which refuses it where it is not one statement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from schemas.errors import PipelineError

DEFAULT_DATABASE: Final = "default"
# Error codes of ClickHouse, by its own names.
BAD_ARGUMENTS: Final = 36
NOT_IMPLEMENTED: Final = 48
SYNTAX_ERROR: Final = 62
UNKNOWN_FORMAT: Final = 73
UNKNOWN_SETTING: Final = 115
READONLY: Final = 164
TOO_DEEP: Final = 306
OUTFILE_NOT_ALLOWED: Final = 358
ACCESS_DENIED: Final = 497

_NAME = r"""(?:\w+|`(?:[^`\\]|\\.)+`|"(?:[^"\\]|\\.)+"|\{\s*\w+\s*:\s*Identifier\s*\})"""
# Possessive where the text may hold long runs, so that no statement takes more than one pass.
_INSERT = re.compile(
    rf"""(?:\s|--[^\n]*\n|/\*.*?\*/)*+INSERT\s++INTO\s++(?:TABLE\s++)?{_NAME}(?:\s*+\.\s*+{_NAME})?
         \s*+(?:\((?:[^()`"']|`[^`]*`|"[^"]*")*+\))?
         \s*+(?P<settings>\bSETTINGS\s++(?:\w++\s*+=\s*+(?:'(?:[^'\\]|\\.)*+'|[-\w.]++)\s*+,?\s*+)++)?
         (?P<end>\b(?:FORMAT\s++(?P<format>\w++)|VALUES))[ \t]*+(?:\r?\n)?""".encode(),
    re.I | re.S | re.X,
)

# Its rows are read by `input`, and come beside it: only a statement in the address has something beside it.
_READS_INPUT = re.compile(r"\s*+INSERT\s(?s:.*?)\bFROM\s++input\s*+\(", re.I)
_LAST_FORMAT = re.compile(r"\bFORMAT\s++(\w++)\s*+\Z", re.I)


class QueryRefused(PipelineError):
    """An error that is answered to the client, worded as the server words it.

    Args:
        code: ClickHouse's number of the error.
        text: What is wrong.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text, code=code)
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, split into text and data.

    Attributes:
        text: The SQL, without SETTINGS, FORMAT and data where it is an INSERT with data.
        data: The rows of an INSERT in `input_format`; None for every other statement.
        input_format: Format of `data`.
        insert_settings: The SETTINGS clause of an INSERT with data.
        selects: Whether it is an INSERT … SELECT that reads its data from `input`; `text` is then all of it.
    """

    text: str
    data: memoryview | None = None
    input_format: str = ""
    insert_settings: str = ""
    selects: bool = False

    def reading_from(self, path: str) -> str:
        """Write an INSERT with data as one that reads its rows from a file.

        Args:
            path: The file's path as it stands between quotes.
        """
        return f"{self.text} FROM INFILE '{path}' {self.insert_settings} FORMAT {self.input_format}"


def split_statement(query: str, body: bytes) -> Statement:
    """Split a request into its statement and the statement's data.

    Args:
        query: The `query` of the address or the form; empty where the body alone carries the statement.
        body: The body, decompressed. It continues `query` where both are given.

    Raises:
        QueryRefused: It is not text.
    """
    insert = _INSERT.match(query.encode())
    if insert and not query.encode()[insert.end() :].strip():
        return _insert(insert, memoryview(body))
    if body and _READS_INPUT.match(query) and (found := _LAST_FORMAT.search(query)):
        return Statement(query, data=memoryview(body), input_format=found[1], selects=True)
    if not query and (insert := _INSERT.match(body)):
        return _insert(insert, memoryview(body)[insert.end() :])
    try:
        return Statement("\n".join(part for part in (query, body.decode()) if part))
    except UnicodeDecodeError:
        raise QueryRefused(SYNTAX_ERROR, "Syntax error: the query is not UTF-8 text (SYNTAX_ERROR)") from None


def _insert(found: re.Match[bytes], data: memoryview) -> Statement:
    end = found.start("settings") if found["settings"] else found.start("end")
    return Statement(
        found.string[:end].decode(errors="replace").strip(),
        data=data,
        input_format=(found["format"] or b"Values").decode(),
        insert_settings=(found["settings"] or b"").decode(errors="replace").strip(),
    )


def quote(text: str, mark: str = "'") -> str:
    """A literal (or, with a backquote, a name) of ClickHouse's SQL."""
    return mark + text.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark
