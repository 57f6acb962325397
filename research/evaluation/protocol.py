"""The protocol, fixed before anybody looks: its numbers, its words, and the digest of both.

Whoever changes a number or a sentence has another digest, and starts to count again.
"""

from __future__ import annotations

import hashlib
from typing import Final

MARK_S: Final = 60
SKIP_S: Final = 1
HISTORY_MARKS: Final = 60
LEAST_HISTORY: Final = 30
KNOWN_S: Final = 60
IDLE_S: Final = 3600
BETS: Final = (0.5, 1.0, 2.0, 4.0)
MOST_LOST: Final = 0.9
EVIDENCE: Final = 20.0
LEAST_MARKS: Final = 200
BLOCK_MARKS: Final = 10
DRAWS: Final = 1000
EXPECTED_MARKS: Final = 3100
"""Median marks until a model right in 0.60 of its labels is shown better than rules right in 0.55, simulated."""

LINES: Final = (
    f"marks: each {MARK_S} s of received time, per instrument",
    f"targets over (mark + {SKIP_S} s, mark + {MARK_S} s], of one-second previous-tick log mids: volatile, realised "
    f"variance above the median of the {HISTORY_MARKS} minutes before the mark, null with fewer than {LEAST_HISTORY}; "
    "up, sign of the change, null where 0; a break, another run, or no usable event inside: null",
    f"known at the mark: decided_ns <= mark, at most {KNOWN_S} s old; else the base rate",
    "base: running frequency of the target; rules, model-label: the same given the label in force; model-p: the "
    "probabilities the model gave",
    "running frequency: (1 + hits)/(2 + n) per instrument, judge and label, outcomes up to the mark alone",
    f"marks count from an instrument's first answer of the model on, as long as its last is at most {IDLE_S} s old",
    "score: Brier; D of a mark: mean over instruments of (b - y)^2 - (m - y)^2, b the rules', m the model's",
    f"evidence: mean over s in {BETS} of the product of 1 + min(s, {MOST_LOST}/M) D, M the mean of "
    "|b - m| max(b + m, 2 - b - m); worse: the same with -D; two targets: the mean of their evidence",
    f"verdict: shown where evidence reaches {EVIDENCE:g} with at least {LEAST_MARKS} marks; of both, the last",
    "who is judged: model-p where an answer holds probabilities, else model-label",
    f"interval of the mean of D: 95 %, moving blocks of {BLOCK_MARKS} marks, {DRAWS} draws",
)


def digest() -> str:
    """First 16 hexadecimal characters of the SHA-256 of the protocol's words, which hold its numbers."""
    return hashlib.sha256("\n".join(LINES).encode()).hexdigest()[:16]
