"""Texts that attack a terminal or its reader, and how to tell whether one got through."""

from __future__ import annotations

import re
import unicodedata

ATTACKS = {
    "clear": "\x1b[2J\x1b[H",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "link": "\x1b]8;;http://example.invalid\x1b\\safe\x1b]8;;\x1b\\",
    "c1": "\x9b2J\x85next",
    "overwrite": "bad\rgood",
    "tear": "a\nobflow: all is well",
    "reversed": "\u202eTDSU\u202c\u2066x\u2069\u200f\u061c",
    "unseen": "\u200b\u200d\ufeff\u2060\U000e0041\ufe0f\u3164\u2028\u2029",
    "markup": "[red]BTC[/red][link=http://example.invalid]x[/link]:rocket:",
    "back": "\b\b\x7f\x07\x0b\x0c",
}
HOSTILE = "".join(ATTACKS.values())
"""All of them in one text."""

_OBEYED = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|([nrt\\]))")
_OF_RICH = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[2K|\x1b\[1A|\r(?=[\x1b\r\n])")
"""Colours, the cursor hidden and shown, lines wiped: what our own drawing says to a terminal."""


def obeyed(printed: str | bytes) -> str:
    """What a terminal would obey or not show, besides line breaks and tabs; empty where there is nothing."""
    text = printed.decode("utf-8", "surrogateescape") if isinstance(printed, bytes) else printed
    return "".join(one for one in text if one not in "\n\t" and _is_obeyed(one))


def obeyed_on_a_terminal(printed: bytes) -> str:
    """The same of what a terminal was told, our own drawing aside."""
    return obeyed(_OF_RICH.sub("", printed.decode("utf-8", "surrogateescape")))


def unescape(shown: str) -> str:
    """The text that was escaped, by a reader that shares no code with the printer."""
    return _ESCAPE.sub(_meant, shown)


def _is_obeyed(character: str) -> bool:
    return unicodedata.category(character) in _OBEYED or bool(_UNSEEN.match(character))


def _meant(found: re.Match[str]) -> str:
    *points, short = found.groups()
    if short:
        return {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}[short]
    return chr(int(next(point for point in points if point), 16))
