"""Threads see at once what their process holds of a table, and that it has changed."""

from __future__ import annotations

import threading

from sinks.shares import HeldShare, Share


def test_what_is_given_again_is_no_change_and_what_is_lost_is_one() -> None:
    share = Share()
    assert share.held == HeldShare(0, None)
    share.give(frozenset({1, 2}))
    share.give(frozenset({2, 1}))
    assert share.held == HeldShare(1, frozenset({1, 2}))
    share.give(None)
    share.give(frozenset({1, 2}))
    assert share.held.number == 3


def test_who_waits_for_a_change_hears_of_it_and_else_waits_no_longer_than_it_said() -> None:
    share = Share()
    giving = threading.Timer(0.01, share.give, [frozenset()])
    giving.start()
    assert share.wait(0, 30.0)
    assert share.wait(0, 0.0)
    assert not share.wait(1, 0.0)
    giving.join()
