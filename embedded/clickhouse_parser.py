"""What the engine's own parser makes of a text, without running it.

The text travels as the hexadecimal digits of a literal, which nothing in it can end. What comes back is a tree, and the
statement written anew from that tree: what is judged is what is run, whatever the text looked like.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from embedded.clickhouse_sql import BAD_ARGUMENTS, NOT_IMPLEMENTED, TOO_DEEP, QueryRefused
from embedded.clickhouse_trees import DESCRIBES, NAMES, Tree

REMEMBERED: Final = 512  # dashboards and sinks ask the same again and again
REMEMBERED_BYTES: Final = 16 * 1024
_NO_TREE: Final = "does not support JSON serialization"
_SCOPE: Final = ": In scope "
_DESCRIBE: Final = "DESCRIBE TABLE "
_ALL_OF: Final = "SELECT * FROM "
_OF_NAMES: Final = (
    *("EXISTS ", "SHOW CREATE TABLE ", "SHOW CREATE VIEW ", "SHOW CREATE DATABASE ", "SHOW CREATE DICTIONARY "),
    *("SHOW FUNCTIONS", "SHOW ENGINES", "SHOW SETTING "),
)
_NOT_HERE: Final = "This statement is not in the embedded engine (NOT_IMPLEMENTED)"

Ask = Callable[[str], bytes]
"""Runs a statement of ours and gives its one row, raw; raises QueryRefused."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """One statement, as the engine understands it.

    Attributes:
        tree: Its tree, as `parseQueryToJSON` gives it.
        text: The statement, written from that tree.
    """

    tree: Tree
    text: str


class Parser:
    """Asks the engine what a text means.

    Args:
        ask: Runs our own statements, under settings that nobody else chose.
        classify: The engine's report on a text: how many statements, and whether they only read.
    """

    def __init__(self, ask: Ask, classify: Callable[[str], tuple[int, bool]]) -> None:
        self._ask, self._classify = ask, classify
        self._remembered = lru_cache(REMEMBERED)(self._parse)

    def parse(self, text: str) -> Parsed:
        """Parse a text that has to be one statement.

        Raises:
            QueryRefused: It is none, or several, or too deep.
        """
        return self._remembered(text) if len(text) <= REMEMBERED_BYTES else self._parse(text)

    def write(self, tree: Tree) -> str:
        """Write the statement of a tree."""
        if tree["type"] == DESCRIBES:
            return _DESCRIBE + self.write(tree["described"]).removeprefix(_ALL_OF)
        return self._text(f"formatQueryFromJSON({_literal(_dumped(tree))})")

    def _parse(self, text: str) -> Parsed:
        try:
            row = self._ask(f"WITH parseQueryToJSON({_literal(text.encode())}) AS t SELECT t, formatQueryFromJSON(t)")
        except QueryRefused as refused:
            if refused.code == BAD_ARGUMENTS and _NO_TREE in refused.text:
                return self._parse_short(text)
            raise _own_words(refused) from None
        dumped, _, written = row.partition(b"\t")  # JSON has no tab of its own
        return Parsed(_loaded(dumped), _as_text(written))

    def _parse_short(self, text: str) -> Parsed:
        """Parse DESCRIBE, EXISTS or a SHOW that has no tree in JSON.

        What DESCRIBE describes is parsed as what a SELECT takes its rows from. The others are one line of the engine's
        canonical form, with nothing in it but names.
        """
        statements, reads = self._classify(text)
        if statements != 1 or not reads:
            raise QueryRefused(NOT_IMPLEMENTED, _NOT_HERE)
        canonical = self._text(f"formatQuery({_literal(text.encode())})")
        if canonical.startswith(_DESCRIBE.rstrip()):
            described = self.parse(_ALL_OF + canonical.removeprefix(_DESCRIBE.rstrip())).tree
            tree = {"type": DESCRIBES, "described": described, "format_ast": described.get("format_ast", {})}
            return Parsed(tree, self.write(tree))
        line, _, output = canonical.partition("\n")
        if not line.startswith(_OF_NAMES) or (output and not output.startswith("FORMAT ")) or "\n" in output:
            raise QueryRefused(NOT_IMPLEMENTED, _NOT_HERE)
        return Parsed({"type": NAMES, "format_ast": {"name": output.removeprefix("FORMAT ")}}, canonical)

    def _text(self, call: str) -> str:
        return _as_text(self._ask(f"SELECT {call}"))


def _as_text(written: bytes) -> str:
    text = written.decode(errors="surrogateescape").rstrip("\n")
    # Bytes that are no text can stand between quotes alone, where they may be written as an escape.
    return "".join(f"\\x{ord(c) & 0xFF:02x}" if "\udc80" <= c <= "\udcff" else c for c in text)


def _literal(text: bytes) -> str:
    return f"unhex('{text.hex()}')"


def _loaded(dumped: bytes) -> Tree:
    try:
        tree: Tree = json.loads(dumped.decode(errors="surrogateescape"))
    except RecursionError:
        raise QueryRefused(TOO_DEEP, "The statement is nested too deep (TOO_DEEP_RECURSION)") from None
    return tree


def _dumped(tree: Tree) -> bytes:
    return json.dumps(tree, ensure_ascii=False).encode(errors="surrogateescape")


def _own_words(refused: QueryRefused) -> QueryRefused:
    """The parser's complaint without the statement of ours that it came up in."""
    said, scope, rest = refused.text.rpartition(_SCOPE)
    return QueryRefused(refused.code, f"{said.strip()} {rest[rest.rfind('(') :]}") if scope else refused
