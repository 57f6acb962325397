"""What the embedded ClickHouse has to know of a statement's text before the engine sees it.

The engine is a library: it runs several statements at once, writes answers into files, and has no sessions that
outlive a request, where a server over HTTP would refuse. This module makes it refuse in the server's own words and
codes, and finds where an INSERT's text ends and its data begin.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from schemas.errors import PipelineError

# Error codes of ClickHouse, by its own names.
NOT_IMPLEMENTED: Final = 48
SYNTAX_ERROR: Final = 62
OUTFILE_NOT_ALLOWED: Final = 358
ACCESS_DENIED: Final = 497

_LITERAL = r"""'(?:[^'\\]|\\.|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"""
_COMMENT = r"""--[^\n]*|\#[ !][^\n]*|/\*.*?\*/"""
_QUOTED_NAME = r"""`(?:[^`\\]|\\.|``)*`|"(?:[^"\\]|\\.|"")*\""""
_OPAQUE = re.compile(
    rf"(?P<literal>{_LITERAL})|(?P<comment>{_COMMENT})|(?P<name>{_QUOTED_NAME})|(?P<query_id>\bquery_id\b)", re.S
)
_NAME = r"""(?:\w+|`(?:[^`\\]|\\.)+`|"(?:[^"\\]|\\.)+"|\{\s*\w+\s*:\s*Identifier\s*\})"""
# Possessive where the text may hold long runs, so that no statement takes more than one pass.
_INSERT = re.compile(
    rf"""(?:\s|--[^\n]*\n|/\*.*?\*/)*+INSERT\s++INTO\s++(?:TABLE\s++)?{_NAME}(?:\s*+\.\s*+{_NAME})?
         \s*+(?:\((?:[^()`"']|`[^`]*`|"[^"]*")*+\))?
         \s*+(?P<settings>\bSETTINGS\s++(?:\w++\s*+=\s*+(?:'(?:[^'\\]|\\.)*+'|[-\w.]++)\s*+,?\s*+)++)?
         (?P<end>\b(?:FORMAT\s++(?P<format>\w++)|VALUES))[ \t]*+(?:\r?\n)?""".encode(),
    re.I | re.S | re.X,
)
_OUTPUT_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*(?:\bSETTINGS\b.*)?$", re.I | re.S)
_ANSWERS = re.compile(r"[\s(]*(?:SELECT|WITH|FROM|SHOW|DESC|DESCRIBE|EXPLAIN|EXISTS|CHECK|KILL)\b", re.I)
_OUTFILE = re.compile(r"\bINTO\s+OUTFILE\b|\bFROM\s+INFILE\b", re.I)
_SESSION = re.compile(r"\s*(?:SET|USE|CREATE\s+(?:OR\s+REPLACE\s+)?TEMPORARY)\b", re.I)
_READS_FILE = re.compile(r"\bfile\s*\(", re.I)


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
        output_format: Format the text itself asks for; empty where it names none.
        answers: Whether it has a result, be it empty.
    """

    text: str
    data: memoryview | None = None
    input_format: str = ""
    insert_settings: str = ""
    output_format: str = ""
    answers: bool = False


def parse_statement(query: str, body: bytes) -> Statement:
    """Split a request into its statement and the statement's data.

    Args:
        query: The `query` of the address or the form; empty where the body alone carries the statement.
        body: The body, decompressed. It continues `query` where both are given.

    Raises:
        QueryRefused: Empty, not text, several statements, or something only a client or a session could do.
    """
    insert = _INSERT.match(query.encode())
    if insert and not query.encode()[insert.end() :].strip():
        return _insert(insert, memoryview(body))
    if not query and (insert := _INSERT.match(body)):
        return _insert(insert, memoryview(body)[insert.end() :])
    try:
        text = "\n".join(part for part in (query, body.decode()) if part).strip().rstrip(";").rstrip()
    except UnicodeDecodeError:
        raise QueryRefused(SYNTAX_ERROR, "Syntax error: the query is not UTF-8 text (SYNTAX_ERROR)") from None
    code = code_of(text)
    _refuse(code)
    output = _OUTPUT_FORMAT.search(code)
    answers = _ANSWERS.match(code) is not None
    return Statement(text, output_format=output[1] if output and answers else "", answers=answers)


def _insert(found: re.Match[bytes], data: memoryview) -> Statement:
    end = found.start("settings") if found["settings"] else found.start("end")
    return Statement(
        found.string[:end].decode(errors="replace").strip(),
        data=data,
        input_format=(found["format"] or b"Values").decode(),
        insert_settings=(found["settings"] or b"").decode(errors="replace").strip(),
    )


def _refuse(code: str) -> None:
    if not code.strip():
        raise QueryRefused(SYNTAX_ERROR, "Syntax error: Empty query (SYNTAX_ERROR)")
    if ";" in code.rstrip().rstrip(";"):
        raise QueryRefused(SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed) (SYNTAX_ERROR)")
    if _OUTFILE.search(code):
        raise QueryRefused(OUTFILE_NOT_ALLOWED, "INTO OUTFILE is not allowed over HTTP (INTO_OUTFILE_NOT_ALLOWED)")
    if _SESSION.match(code):
        raise QueryRefused(
            NOT_IMPLEMENTED,
            "The embedded engine keeps no sessions: give settings and the database with each request "
            "instead of SET, USE and temporary tables (NOT_IMPLEMENTED)",
        )


def refuse_file_access(text: str) -> None:
    """Keep a reader from the `file` function, which the engine's read-only mode leaves open.

    Raises:
        QueryRefused: The text calls it.
    """
    if _READS_FILE.search(code_of(text)):
        raise QueryRefused(ACCESS_DENIED, "A reader may not read files of the machine (ACCESS_DENIED)")


def code_of(text: str) -> str:
    """The text with literals emptied, comments removed and quoted names bared: what is left can be searched."""
    return _OPAQUE.sub(_bare, text)


def _bare(found: re.Match[str]) -> str:
    if found["literal"]:
        return "''"
    if found["comment"]:
        return " "
    if found["query_id"]:
        return found[0]
    name = found["name"][1:-1]
    if "\\" in name:  # an escaped name may stand for any, so it is taken for the one that readers may not call
        return "file"
    return name if name.isidentifier() else "_"


def name_by_comment(text: str) -> str:
    """Let KILL QUERY find a query by the id its client gave it.

    The engine names queries itself; the client's id is kept in the setting `log_comment` of the query's session.
    """
    if not re.match(r"\s*KILL\s+QUERY\b", text, re.I):
        return text
    return _OPAQUE.sub(lambda found: "Settings['log_comment']" if found["query_id"] else found[0], text)
