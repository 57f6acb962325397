"""Which key holds: the active one, for a while the one before it, or none until somebody mends it. Knows no clock."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

OVERLAP_S: Final = 60.0
"""For how long after a rotation the key before may still be used."""
PROBE_S: Final = 60.0
"""Time between two probes of a key that was refused."""
PLAUSIBLE: Final = re.compile(r"[\x21-\x7e]{1,4096}")
"""What can stand in a header: printable, without spaces."""


def is_plausible(key: str) -> bool:
    """Whether a key could stand in a header."""
    return PLAUSIBLE.fullmatch(key) is not None


@dataclass(frozen=True)
class ModelKey:
    """A key that shows nothing of itself.

    Attributes:
        text: What is sent.
    """

    text: str = field(repr=False)

    @property
    def id(self) -> str:
        """First 8 hexadecimal characters of its SHA-256: what may stand in rows and logs."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:8]


class KeyRing:
    """The keys of one endpoint.

    A key that was refused is open: no request leaves until the file changes. Once in `probe_s` it is asked whether the
    key is taken again, and unless that is denied, one question is let through; its success ends it.

    Args:
        key: The first one.
        overlap_s: For how long the key before may be used, seconds.
        probe_s: Time between two probes, seconds.

    Attributes:
        active: What requests are sent with.
        is_open: Whether it was refused.
        probe_s: Time between two probes, seconds.
    """

    def __init__(self, key: ModelKey, overlap_s: float = OVERLAP_S, probe_s: float = PROBE_S) -> None:
        self.active = key
        self.is_open = False
        self._overlap_s = overlap_s
        self.probe_s = probe_s
        self._previous: ModelKey | None = None
        self._rotated_s = 0.0
        self._probe_at_s = 0.0
        self._may_try = False

    def rotate(self, key: ModelKey, now_s: float) -> None:
        """Make a key the active one; the one before stays for the overlap. What was refused is forgotten."""
        self._previous, self.active, self._rotated_s = self.active, key, now_s
        self.is_open = self._may_try = False

    def previous(self, now_s: float) -> ModelKey | None:
        """The key before, inside the overlap."""
        return self._previous if now_s < self._rotated_s + self._overlap_s else None

    def instead_of(self, key_id: str, now_s: float) -> ModelKey | None:
        """The key to try once where this one was refused; none where there is no other."""
        return self.active if key_id != self.active.id else self.previous(now_s)

    def open(self, now_s: float) -> None:
        """The active key was refused, and there is no other."""
        if not self.is_open:
            self.is_open = True
            self.probed(now_s)

    def probe_is_due(self, now_s: float) -> bool:
        """Whether to ask again if the key is taken."""
        return self.is_open and now_s >= self._probe_at_s

    def probed(self, now_s: float, *, is_denied: bool = True) -> None:
        """A probe ended; where the key was not denied, one question may try."""
        self._probe_at_s = now_s + self.probe_s
        self._may_try = not is_denied

    def refuses(self) -> bool:
        """Whether no request may leave."""
        return self.is_open and not self._may_try

    def leaves(self) -> None:
        """A request leaves; of an open key no other does until it has succeeded or the next probe has."""
        self._may_try = False

    def worked(self, key_id: str) -> None:
        """A request with this key was answered."""
        if key_id == self.active.id:
            self.is_open = self._may_try = False
