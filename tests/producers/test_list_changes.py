"""What changed between what is produced and a list, and which instruments are asked for: pure, over any two lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.list_changes import ListChanges, compare_lists, grid_of, status_sentence
from producers.messages import Instrument, InstrumentList
from producers.selection import FixedPart, Selection, bucket_of, quote_of
from schemas.messages import ContractKind
from schemas.partitions import partition_of

SYMBOLS = tuple("ABCDE")
instruments = st.builds(
    Instrument,
    venue=st.just("v"),
    symbol=st.sampled_from(SYMBOLS),
    tick_size=st.sampled_from(("0.1", "0.01")),
    lot_size=st.sampled_from(("1", "0.5")),
    canonical=st.sampled_from(("A-USDT-SPOT", "B-USDC-PERP", "")),
    contract_value=st.sampled_from(("1", "10")),
    contract_kind=st.sampled_from((ContractKind.SPOT, ContractKind.LINEAR)),
    trading_status=st.sampled_from(("", "", "BREAK")),
    is_delisted=st.sampled_from((False, False, False, True)),
)
lists = st.lists(instruments, unique_by=lambda one: one.symbol, max_size=5)


def by_symbol(found: list[Instrument]) -> dict[str, Instrument]:
    return {one.symbol: one for one in found}


def everything(_: Instrument) -> bool:
    return True


def applied(produced: dict[str, Instrument], changes: ListChanges) -> dict[str, Instrument]:
    """What is produced after doing what a comparison says."""
    taken = {one.symbol: one for one in (*changes.new, *changes.regridded, *changes.restated)}
    ended = {one.symbol for one in changes.ended}
    return {symbol: one for symbol, one in (produced | taken).items() if symbol not in ended}


@given(before=lists, after=lists, unreadable=st.sets(st.sampled_from(SYMBOLS)))
def test_what_is_produced_after_a_list_and_its_repetition_is_what_the_list_says(
    before: list[Instrument], after: list[Instrument], unreadable: set[str]
) -> None:
    produced = by_symbol([one for one in before if not one.is_delisted])
    listed = InstrumentList(tuple(after), tuple(unreadable))
    first = compare_lists(produced, listed, everything)
    between = applied(produced, first)
    second = compare_lists(between, listed, everything, first.missing)
    then = applied(between, second)
    third = compare_lists(then, listed, everything, second.missing)

    said = {symbol: one for symbol, one in by_symbol(after).items() if not one.is_delisted}
    kept = {symbol for symbol in produced if not after or (symbol in unreadable and symbol not in by_symbol(after))}
    assert then.keys() == said.keys() | kept
    assert {symbol: grid_of(one) for symbol, one in then.items() if symbol in said} == {
        symbol: grid_of(one) for symbol, one in said.items()
    }
    assert {then[symbol].trading_status for symbol in said} == {one.trading_status for one in said.values()}
    assert (third.new, third.regridded, third.restated, third.ended) == ((), (), (), ())


@given(before=lists, after=lists)
def test_nothing_new_or_changed_is_ended_and_nothing_ends_that_was_not_produced(
    before: list[Instrument], after: list[Instrument]
) -> None:
    produced = by_symbol(before)
    changes = compare_lists(produced, InstrumentList(tuple(after)), everything, produced)
    ended = {one.symbol for one in changes.ended}
    changed = {one.symbol for one in (*changes.regridded, *changes.restated)}

    assert ended <= produced.keys()
    assert changed <= produced.keys()
    assert not ended & changed
    assert not {one.symbol for one in changes.new} & produced.keys()


@given(produced=lists)
def test_a_list_without_any_instrument_changes_nothing(produced: list[Instrument]) -> None:
    changes = compare_lists(by_symbol(produced), InstrumentList(()), everything, SYMBOLS)

    assert changes[:4] == ((), (), (), ())


def test_one_that_a_list_says_nothing_of_ends_with_the_second_such_list_in_a_row() -> None:
    gone, other = Instrument("v", "GONE", "1", "1"), Instrument("v", "OTHER", "1", "1")
    produced = by_symbol([gone, other])
    short, whole = InstrumentList((other,)), InstrumentList((gone, other))

    first = compare_lists(produced, short, everything)
    back = compare_lists(produced, whole, everything, first.missing)
    again = compare_lists(produced, short, everything, back.missing)
    twice = compare_lists(produced, short, everything, again.missing)

    assert (first.ended, back.missing, again.ended) == ((), frozenset(), ())
    assert twice.ended == (("GONE", "the venue lists it no longer: it will not trade again"),)
    assert twice.missing == frozenset()


def test_only_what_is_asked_for_is_new() -> None:
    listed = InstrumentList((Instrument("v", "X", "1", "1"), Instrument("v", "Y", "1", "1", is_delisted=True)))

    assert compare_lists({}, listed, lambda one: one.symbol == "Z").new == ()
    assert [one.symbol for one in compare_lists({}, listed, everything).new] == ["X"]


@pytest.mark.parametrize(
    ("status", "is_delisted", "sentence"),
    [
        ("", False, ""),
        ("BREAK", False, "the venue lists it as BREAK"),
        ("CLOSE", True, "the venue lists it as CLOSE: it will not trade again"),
    ],
)
def test_a_status_is_a_sentence_where_it_does_not_trade(status: str, is_delisted: bool, sentence: str) -> None:
    assert status_sentence(Instrument("v", "X", "1", "1", trading_status=status, is_delisted=is_delisted)) == sentence


class TestSelection:
    usdt = Instrument("v", "X", "1", "1", canonical="X-USDT-PERP")
    in_break = usdt._replace(trading_status="BREAK")

    def test_names_are_produced_whatever_their_status(self) -> None:
        assert Selection(("X",)).holds(self.in_break)
        assert not Selection(("Y",)).holds(self.usdt)

    def test_all_is_whatever_trades_and_a_currency_whatever_trades_in_it(self) -> None:
        assert Selection().holds(self.usdt)
        assert not Selection().holds(self.in_break)
        assert Selection(quotes=frozenset({"USDT"})).holds(self.usdt)
        assert not Selection(quotes=frozenset({"USD"})).holds(self.usdt)

    @pytest.mark.parametrize(("canonical", "quote"), [("BTC-USD-250328", "USD"), ("BTC-USDT", "USDT"), ("", "")])
    def test_the_currency_is_the_second_word_of_a_canonical_name(self, canonical: str, quote: str) -> None:
        assert quote_of(self.usdt._replace(canonical=canonical)) == quote

    @given(names=st.sets(st.text(min_size=1), min_size=1, max_size=40), buckets=st.integers(1, 30))
    def test_names_are_spread_evenly_over_buckets(self, names: set[str], buckets: int) -> None:
        selection = Selection(tuple(names))
        found = sorted(bucket_of(selection, "v", name, buckets) for name in names)
        held = [found.count(bucket) for bucket in range(buckets)]
        half = sum(held[: buckets // 2])

        assert max(held) - min(held) <= 1
        assert buckets % 2 or abs(2 * half - len(names)) <= 1 or len(names) > buckets

    @given(name=st.text(min_size=1), others=st.sets(st.text(min_size=1)), buckets=st.integers(1, 30))
    def test_what_is_listed_later_moves_nothing_between_buckets(
        self, name: str, others: set[str], buckets: int
    ) -> None:
        assert {bucket_of(Selection(), "v", each, buckets) for each in (name, *others)} <= set(range(buckets))
        assert bucket_of(Selection(), "v", name, buckets) == partition_of(f"v:{name}", buckets)

    @given(key=st.text(min_size=1), parts=st.integers(1, 50))
    def test_each_instrument_belongs_to_exactly_one_part(self, key: str, parts: int) -> None:
        assert sum(FixedPart.of(f"{number}/{parts}").holds(key) for number in range(1, parts + 1)) == 1
        assert FixedPart.of("").holds(key)
