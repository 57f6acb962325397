"""What was spent never exceeds the budget: in whatever order requests end, whoever owns what, day after day."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.llm.budget import DAY_NS, MINUTE_NS, NOTHING, Amount, Budget, BudgetLimits, Spent

WHOLE = Fraction(1)
NOON_NS = 20_000 * DAY_NS + DAY_NS // 2


def of(usd: str, tokens: int = 0) -> Amount:
    return Amount(Decimal(usd), tokens)


def owner(limits: BudgetLimits, share: Fraction = WHOLE, *others: Spent) -> Budget:
    budget = Budget(limits)
    budget.share(share, others, NOON_NS)
    return budget


@pytest.mark.parametrize("seed", range(3))
def test_ten_thousand_questions_at_once_never_spend_more_than_one_dollar(seed: int) -> None:
    """Each may cost what was reserved, less, or not be known; 0.3 cents at most, so some 300 to 1,000 leave."""
    chance, budget = Random(seed), owner(BudgetLimits(usd_per_day=1.0))
    under_way, spent, sent, waiting = list[Spent](), Decimal(0), 0, 10_000
    while waiting or under_way:
        if waiting and (not under_way or chance.random() < 0.6):
            waiting -= 1
            reserved = budget.reserve(of(f"0.{chance.randint(1, 3000):06d}"), NOON_NS)
            under_way += [reserved] if reserved is not None else []
            sent += reserved is not None
        else:
            ended = under_way.pop(chance.randrange(len(under_way)))
            usd = ended.amount.usd * chance.choice((Decimal("0.1"), Decimal("0.7"), Decimal(1)))
            spent += usd
            budget.settle(ended, Amount(usd, 0))
        assert spent <= 1
    assert sent > 300
    assert spent > Decimal("0.99")


SHARES = st.integers(0, 4).flatmap(lambda first: st.just((Fraction(first, 4), 1 - Fraction(first, 4))))
DOINGS = st.lists(
    st.tuples(st.sampled_from(["ask", "end", "move"]), st.integers(0, 1), st.integers(0, 60), SHARES),
    min_size=20,
    max_size=60,
)


@given(DOINGS)
def test_two_workers_together_never_spend_more_however_partitions_move(
    doings: list[tuple[str, int, int, tuple[Fraction, Fraction]]],
) -> None:
    """Owners change while nothing is under way; each then knows what the log says the other has spent."""
    workers = [owner(BudgetLimits(tokens_per_day=100), Fraction(1, 2)) for _ in range(2)]
    under_way: list[list[Spent]] = [[], []]
    rows: list[list[Spent]] = [[], []]
    for doing, who, tokens, shares in doings:
        if doing == "ask":
            reserved = workers[who].reserve(of("0", tokens), NOON_NS)
            under_way[who] += [reserved] if reserved is not None else []
        for worker in range(2) if doing == "move" else [who] * (doing == "end"):
            while under_way[worker]:
                ended = under_way[worker].pop()
                rows[worker].append(Spent(NOON_NS, of("0", min(tokens, ended.amount.tokens))))
                workers[worker].settle(ended, rows[worker][-1].amount)
        if doing == "move":
            for worker, share in enumerate(shares):
                workers[worker].share(share, rows[1 - worker], NOON_NS)
        assert sum(row.amount.tokens for of_one in rows for row in of_one) <= 100


def test_nothing_may_be_spent_before_there_is_a_share_and_after_it_is_lost() -> None:
    budget = Budget(BudgetLimits(usd_per_day=1.0))
    assert budget.reserve(of("0.1"), NOON_NS) is None
    budget.share(WHOLE, (), NOON_NS)
    assert budget.reserve(of("0.1"), NOON_NS) is not None
    budget.share(Fraction(0), (), NOON_NS)
    assert budget.reserve(of("0.1"), NOON_NS) is None


def test_what_a_day_has_seen_is_known_again_after_a_restart() -> None:
    yesterday, today = Spent(NOON_NS - DAY_NS, of("1")), Spent(NOON_NS - 1, of("0.95"))
    budget = owner(BudgetLimits(usd_per_day=1.0), WHOLE, yesterday, today)
    assert budget.reserve(of("0.06"), NOON_NS) is None
    assert budget.reserve(of("0.05"), NOON_NS) is not None


def test_a_day_and_a_minute_begin_with_their_whole_and_settle_nothing_of_another() -> None:
    budget = owner(BudgetLimits(usd_per_day=1.0, usd_per_minute=0.4), Fraction(1, 2))
    first = budget.reserve(of("0.2"), NOON_NS)
    assert first is not None
    assert budget.reserve(of("0.01"), NOON_NS) is None
    assert budget.reserve(of("0.2"), NOON_NS + MINUTE_NS) is not None
    budget.settle(first, NOTHING)  # of the day alone: its minute is over
    assert budget.reserve(of("0.01"), NOON_NS + MINUTE_NS) is None
    assert budget.reserve(of("0.2"), NOON_NS + 2 * MINUTE_NS) is not None
    assert budget.reserve(of("0.2"), NOON_NS + 3 * MINUTE_NS) is None, "the day's half is 0.50"
    assert budget.reserve(of("0.2"), NOON_NS + DAY_NS) is not None


def test_a_clock_set_back_begins_no_day_anew_and_gives_back_what_it_reserved() -> None:
    budget = owner(BudgetLimits(usd_per_day=1.0))
    reserved = budget.reserve(of("1"), NOON_NS - DAY_NS)
    assert reserved is not None
    assert budget.reserve(of("1"), NOON_NS - DAY_NS) is None
    budget.settle(reserved, NOTHING)
    assert budget.reserve(of("1"), NOON_NS - DAY_NS) is not None


def test_tokens_bound_what_has_no_price() -> None:
    budget = owner(BudgetLimits(tokens_per_day=1_000))
    assert budget.reserve(of("0", 1_001), NOON_NS) is None
    assert budget.reserve(of("0", 1_000), NOON_NS) is not None
