"""One suite over every venue: what its list says of a changed grid, a delisting and a new instrument is understood."""

from __future__ import annotations

import pytest

from producers.contract import Exchange
from producers.exchanges import EXCHANGES
from producers.list_changes import ListChanges, compare_lists
from producers.messages import Frame, Instrument, InstrumentList, Via
from producers.selection import Selection, quote_of
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.venues import SIMULATED

START_NS = 1_704_067_200 * 10**9
EACH = pytest.mark.parametrize("venue", sorted(EXCHANGES))


class Listing:
    """A simulated venue, and what our adapter makes of its list, asked for as the live feed asks."""

    def __init__(self, venue: str) -> None:
        self.exchange: Exchange = EXCHANGES[venue]
        speaker = SIMULATED[venue]
        self.symbols = speaker.listed[:3]
        self.simulated = SimulatedExchange(speaker, self.symbols[:2], start_ns=START_NS)
        self.produced = {one.symbol: one for one in self.read().instruments}
        self.missing: frozenset[str] = frozenset()

    def read(self, symbols: tuple[str, ...] = ()) -> InstrumentList:
        """The list, all of its parts; where names are refused, the whole one."""
        answers = [(fetch, self.simulated.get(fetch.path)) for fetch in self.exchange.listings(symbols)]
        if symbols and any(answer.status != 200 for _, answer in answers):
            return self.read()
        frames = [Frame(0, Via.REST, request=fetch.path, raw=answer.body.encode()) for fetch, answer in answers]
        lists = [message for frame in frames for message in self.exchange.parse(frame)]
        assert all(isinstance(one, InstrumentList) for one in lists)
        return InstrumentList(
            tuple(each for one in lists if isinstance(one, InstrumentList) for each in one.instruments)
        )

    def changes(self, selection: Selection, symbols: tuple[str, ...] = ()) -> ListChanges:
        found = compare_lists(self.produced, self.read(symbols), selection.holds, self.missing)
        self.missing = found.missing
        return found


@EACH
def test_a_tick_size_that_changes_is_the_one_change_a_list_shows(venue: str) -> None:
    listing = Listing(venue)
    assert listing.changes(Selection()) == ListChanges()

    listing.simulated.refine(listing.symbols[0])
    changes = listing.changes(Selection())

    [regridded] = changes.regridded
    before: Instrument = listing.produced[regridded.symbol]
    assert regridded.symbol == listing.symbols[0]
    assert float(regridded.tick_size) == pytest.approx(float(before.tick_size) / 10)
    assert changes._replace(regridded=()) == ListChanges()


@EACH
@pytest.mark.parametrize("by_name", [False, True])
def test_a_delisted_instrument_ends_with_the_second_list_at_the_latest(venue: str, by_name: bool) -> None:
    listing = Listing(venue)
    symbols = listing.symbols[:2] if by_name else ()
    selection = Selection(symbols)
    listing.simulated.delist(listing.symbols[0])

    ended = [each for _ in range(2) for each in listing.changes(selection, symbols).ended]

    assert {each.symbol for each in ended} == {listing.symbols[0]}
    assert all(each.why.endswith("it will not trade again") for each in ended)


@EACH
def test_what_is_listed_later_is_new_to_who_asks_for_all_or_its_currency(venue: str) -> None:
    listing = Listing(venue)
    listing.simulated.add_market(listing.symbols[2])

    [new] = listing.changes(Selection()).new
    assert new.symbol == listing.symbols[2]
    assert [one.symbol for one in listing.changes(Selection(quotes=frozenset({quote_of(new)}))).new] == [new.symbol]
    assert listing.changes(Selection(quotes=frozenset({"NONE"}))).new == ()
    assert listing.changes(Selection(listing.symbols[:2])).new == ()
