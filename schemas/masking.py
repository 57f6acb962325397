"""Takes credentials out of a text that people will read: an error, a log line, a list of settings.

An address may carry them before its host (`scheme://user:password@host`, `user:password@host:9092`, a token alone) and
among its parameters (`?api_key=…`). Too much rather than too little is masked; everything before the last `@` of a word
that begins like an address is taken for credentials, since a password may hold any sign.
"""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "**********"

# Every repetition is bounded: the text may be a venue's, of any length.
_USER_INFO: Final = re.compile(r"(?<=://)[^\s\"'<>]{1,1024}@")
_USER_INFO_WITHOUT_SCHEME: Final = re.compile(r"(?<![^\s\"'(,=])[^\s:/@\"'(,=]{1,256}:(?!//)[^\s\"',]{1,256}@")
_PARAMETER: Final = re.compile(
    r"([?&;#][^\s=&#]{0,64}?(?:key|token|secret|passw|pwd|auth|cred|sig|session|jwt)[^\s=&#]{0,64}=)[^\s&#\"'<>]+",
    re.IGNORECASE,
)


def mask_credentials(text: str) -> str:
    """The text with every credential of an address in it replaced by `MASK`."""
    if "@" in text:
        text = _USER_INFO.sub(f"{MASK}@", text)
        text = _USER_INFO_WITHOUT_SCHEME.sub(f"{MASK}@", text)
    return _PARAMETER.sub(rf"\1{MASK}", text) if "=" in text else text
