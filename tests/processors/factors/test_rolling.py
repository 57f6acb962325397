from processors.factors.rolling import WINDOW_MAX, WINDOW_NS, Rolling


def test_a_window_is_whole_a_second_after_its_start() -> None:
    rolling = Rolling()
    rolling.restart(50)
    assert not rolling.is_whole(50 + WINDOW_NS - 1)
    assert rolling.is_whole(50 + WINDOW_NS)


def test_a_window_has_a_bound_and_says_nothing_while_it_misses_what_it_lost() -> None:
    rolling = Rolling()
    rolling.restart(0)
    now = 5 * WINDOW_NS
    for _ in range(WINDOW_MAX):
        rolling.add_delta(now, 1.0, 1, 0, None)
    assert rolling.is_whole(now)
    rolling.add_delta(now + 1, 1.0, 1, 0, None)
    assert len(rolling.times) == len(rolling.flows) == len(rolling.added) == len(rolling.removed) == WINDOW_MAX
    assert not rolling.is_whole(now + WINDOW_NS - 1)
    assert rolling.is_whole(now + WINDOW_NS)


def test_flows_are_summed_oldest_first_and_nulls_are_skipped() -> None:
    rolling = Rolling()
    for flow in (1e16, None, 1.0, -1e16):
        rolling.add_delta(0, flow, 0, 0, None)
    assert rolling.flow() == (1e16 + 1.0) - 1e16


def test_no_flow_at_all_is_null() -> None:
    rolling = Rolling()
    assert rolling.flow() is None
    rolling.add_delta(0, None, 1, 1, None)
    assert rolling.flow() is None


def test_a_restart_forgets_everything() -> None:
    rolling = Rolling()
    rolling.add_delta(0, 1.0, 1, 1, 2.0)
    rolling.add_event(0.5, 0.5, 100.0)
    rolling.restart(9)
    assert not any((rolling.times, rolling.flows, rolling.added, rolling.removed, rolling.quotes))
    assert not any((rolling.obi_l1, rolling.obi_l5, rolling.depth))
    assert rolling.whole_since_ns == 9
