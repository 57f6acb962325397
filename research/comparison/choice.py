"""Which windows are asked about: drawn by a seed, as many of each of the rules' labels as there can be."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from research.comparison.windows import AskableWindow


def chosen(windows: Sequence[AskableWindow], number: int, seed: int) -> list[AskableWindow]:
    """So many windows, or all where there are fewer, in the order of their time.

    Labels take turns, so that a rare one is there as often as a frequent one as long as it lasts. A window's place in
    its label's order depends on the seed and on the window alone: more windows beside it change nothing between two.

    Args:
        windows: Those that can be asked about.
        number: How many to choose.
        seed: Of the choice.
    """
    by_label: defaultdict[str, list[AskableWindow]] = defaultdict(list)
    for window in sorted(windows, key=lambda one: _drawn(one, seed)):
        by_label[window.closed.verdict.label.value].append(window)
    turns = [(turn, label, window) for label, found in sorted(by_label.items()) for turn, window in enumerate(found)]
    taken = [window for _, _, window in sorted(turns, key=lambda one: one[:2])[:number]]
    return sorted(taken, key=lambda one: (one.closed.window.end_ns, one.name))


def _drawn(window: AskableWindow, seed: int) -> bytes:
    words = f"{seed}|{window.name}|{window.closed.window.end_ns}"
    return hashlib.blake2b(words.encode(), digest_size=8).digest()
