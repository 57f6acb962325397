"""The compiled engine where the contract of engines does not reach: pages, arithmetic, decoder, bounds."""

from __future__ import annotations

import os
from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderbook.kernel import pages, sides
from orderbook.kernel.ladder import first_place, sum_ladder
from processors.contract import decode_each
from processors.factors.kernel.arithmetic import MOST, true_divide
from processors.factors.kernel.columns import DeltaRow, rows_of
from processors.factors.kernel.engine import KernelEngine
from processors.factors.kernel.steps import IS_COMPLETE
from processors.factors.kernel.trial import trial
from processors.factors.reference.engine import ReferenceEngine
from processors.factors.weights import OfiTable
from schemas.codec import decode_as, encode
from schemas.digest import digest
from schemas.errors import DecodeError, MessageError
from schemas.factors import FACTOR_INDEX
from schemas.messages import FactorEvent, Kind, L2Record
from tests.processors.extreme import extreme
from tests.processors.feed import OFI_TABLE, THIN_NOTIONAL, UNIT_GRID, Feed
from tests.processors.generated import slow_stream, stream
from tests.support.tiers import fourth_of

SEEDS = range(1_000 if os.environ.get("OBFLOW_FUZZ") == "all" else 40)
KERNEL, REFERENCE = KernelEngine(THIN_NOTIONAL, OFI_TABLE), ReferenceEngine(THIN_NOTIONAL, OFI_TABLE)


def events_of(engine: Any, records: list[L2Record], cuts: list[int], *, restore: bool = False) -> list[FactorEvent]:
    state, events = engine.fresh(), list[FactorEvent]()
    for start, end in pairwise(sorted({0, len(records), *(cut % len(records) for cut in cuts)})):
        events += engine.step(state, range(start, end), engine.rows(records[start:end])).events()
        state = engine.load(engine.dump(state)) if restore else state
    return events


def compiled_records(records: list[L2Record]) -> int:
    """How many records of a stream the kernel takes itself."""
    before = KERNEL.compiled_records
    events_of(KERNEL, records, [])
    return KERNEL.compiled_records - before


def test_every_factor_is_compiled() -> None:
    assert IS_COMPLETE


def test_the_trial_on_this_host_finds_the_references_bits() -> None:
    assert trial() == ""


@pytest.mark.parametrize("maker", [stream, extreme, slow_stream])
def test_books_of_every_kind_give_the_references_bits(maker: Any) -> None:
    for seed in SEEDS:
        records, random = maker(seed), Random(seed)
        cuts = [random.randrange(len(records)) for _ in range(random.randrange(9))]
        found = events_of(KERNEL, records, cuts, restore=seed % 2 == 0)
        assert digest(found) == digest(events_of(REFERENCE, records, [])), f"seed {seed}"


@pytest.mark.parametrize("largest", [2**53 + 1, 2**59])
def test_sizes_beyond_what_a_float_holds_are_compiled(largest: int) -> None:
    feed, random = Feed(("1", "1", "1", UNIT_GRID[3])), Random(largest)
    records = [feed.snapshot([(9, largest), (8, 3)], [(11, largest - 1), (12, 7)])]
    records += [feed.delta([(9, largest - random.randrange(9))], [(11, largest - 3)], at=n) for n in range(1, 40)]
    found = events_of(KERNEL, records, [])
    assert digest(found) == digest(events_of(REFERENCE, records, []))
    assert compiled_records(records) == (39 if largest < 2**55 else 0)


def test_a_deep_book_that_drifts_by_half_its_price_is_compiled_to_the_last_delta() -> None:
    random, feed, mid = Random(3), Feed(("0.00000001", "1", "1", UNIT_GRID[3])), 10**9
    far_asks = [(3 * mid + 7 * number, 2 + number) for number in range(3_000)]
    records = [feed.snapshot([(5 + 5 * number, 1 + number) for number in range(3_000)], far_asks)]
    old: tuple[dict[int, int], dict[int, int]] = ({}, {})
    for number in range(1, 300):
        mid -= 10**9 // 600
        sides = [
            {mid + sign * (1 + random.randrange(10**7)): 1 + random.randrange(9) for _ in range(30)} for sign in (-1, 1)
        ]
        bids, asks = ({**dict.fromkeys(was, 0), **now} for was, now in zip(old, sides, strict=True))
        records.append(feed.delta(list(bids.items()), sorted(asks.items()), at=20 * number))
        old = (sides[0], sides[1])
    found = events_of(KERNEL, records, [200])
    assert digest(found) == digest(events_of(REFERENCE, records, []))
    assert compiled_records(records) == len(records) - 1


def test_a_dense_book_that_drifts_beyond_its_ladder_is_compiled_to_the_last_delta() -> None:
    random, feed, mid = Random(5), Feed(("0.1", "1", "1", UNIT_GRID[3])), 600_000
    records = [feed.snapshot([(mid - 1 - n, 1 + n) for n in range(400)], [(mid + 1 + n, 2 + n) for n in range(400)])]
    held: tuple[dict[int, int], dict[int, int]] = ({}, {})
    for number in range(1, 400):
        mid += (-900, 700)[number // 200] + random.randrange(-50, 50)
        changes = []
        for sign, side in zip((-1, 1), held, strict=True):
            new = {mid + sign * (1 + random.randrange(3_000)): 1 + random.randrange(9) for _ in range(20)}
            new |= {mid + sign * random.randrange(10**5, 2 * 10**5): 3 for _ in range(2)}
            crossed = [tick for tick in side if (tick - mid) * sign <= 0]
            changes.append({**dict.fromkeys(crossed, 0), **new})
            for tick in crossed:
                del side[tick]
            side.update(new)
        gone = [dict.fromkeys(range(start, start + 400 * (number == 1)), 0) for start in (599_600, 600_001)]
        bids, asks = ({**was, **now} for was, now in zip(gone, changes, strict=True))
        records.append(feed.delta(sorted(bids.items()), sorted(asks.items()), at=20 * number))
    found = events_of(KERNEL, records, [200])
    assert digest(found) == digest(events_of(REFERENCE, records, []))
    assert compiled_records(records) == len(records) - 1


def test_more_trades_and_deltas_than_are_remembered_give_the_references_bits() -> None:
    """Of each window: whole, with losses, and whole again."""
    feed, random = Feed(("0.1", "0.01", "1", UNIT_GRID[3])), Random(8)
    records = [feed.snapshot([(990 - n, 900) for n in range(25)], [(1_010 + n, 900) for n in range(25)])]
    crowd = [6_000 + number // 2 for number in range(9_000)]
    for at in [*range(300, 6_000, 300), *crowd, *range(10_600, 50_000, 400)]:
        trades = [(random.randrange(980, 1_020), random.choice((-1, 1)) * random.randrange(1, 900))]
        bids, asks = ([(start + random.randrange(12), random.randrange(1, 900))] for start in (979, 1_010))
        records.append(feed.delta(bids, asks, at, trades=trades))
    found, expected = events_of(KERNEL, records, [4_000, 9_100]), events_of(REFERENCE, records, [])
    assert digest(found) == digest(expected)
    assert compiled_records(records) == len(records) - 1
    for name in ("trade_buy_5s", "trade_buy_30s", "mlofi_1_1s", "integrated_ofi_1s"):
        values = [event.values[FACTOR_INDEX[name]] for event in expected[6_000:]]
        assert None in values
        assert values[-1] is not None


def test_weights_change_with_the_day_in_the_middle_of_a_batch() -> None:
    table = OfiTable(f"v S 1970-01-01 2 {'1 ' * 10}; v S 1970-01-02 4 {'1 ' * 10}")
    feed, midnight = Feed(), 86_400_000
    records = [feed.snapshot([(99 - n, 9) for n in range(12)], [(101 + n, 9) for n in range(12)], at=midnight - 2_000)]
    records += [feed.delta([(99, 9 + n)], at=midnight - 2_000 + 100 * n) for n in range(1, 40)]
    kernel, reference = KernelEngine(THIN_NOTIONAL, table), ReferenceEngine(THIN_NOTIONAL, table)
    found = events_of(kernel, records, [])
    values = [event.values[FACTOR_INDEX["integrated_ofi_1s"]] for event in found]
    assert digest(found) == digest(events_of(reference, records, []))
    assert values[19:21] == [10 / 20, 10 / 40]
    assert kernel.compiled_records == 39


class TestSides:
    @given(seed=st.integers(0, 2**32))
    @settings(max_examples=fourth_of(40))
    def test_a_side_holds_what_a_dict_holds(self, seed: int) -> None:
        random, side = Random(seed), sides.make_side(200)
        middle, limit = random.choice((0, 10**9)), 50
        held = {middle + number: 1 + number for number in range(0, random.choice((1, 900)), 3)} if seed % 3 else {}
        keys, sizes = (np.array(list(values), dtype=np.int64) for values in (held, held.values()))
        sides.fill(*side, keys, sizes, limit)
        for number in range(1_500):
            if number % 300 == 299:
                middle += random.choice((-20_000, 3_000, 20_000, 60_000))
            reach = random.choice((30, 400, 20_000, 10**7))
            key, lots = middle + random.randrange(-reach // 9, reach), random.choice((0, 0, 1, 5, 10**12))
            assert sides.set_level(side.ladder, *side[1:], key, lots) == held.pop(key, 0)
            held |= {key: lots} if lots else {}
            sides.keep_centred(side.ladder, *side[1:])
        self.check(side, held, limit)

    def check(self, side: sides.Side, held: dict[int, int], limit: int) -> None:
        keys, sizes = sides.levels_of(side)
        ladder = side.ladder
        assert list(zip(keys.tolist(), sizes.tolist(), strict=True)) == sorted(held.items())
        assert ladder["all_lots"] == sum(held.values())
        assert ladder["known"] == sum(key <= limit for key in held)
        if held:
            assert sides.worst_key(ladder, *side[1:]) == max(held)
        for place in range(ladder["pages"]):
            page = side.pages[side.directory[pages.ORDER, place]]
            in_page = slice(page["count"])
            assert side.directory[pages.FIRSTS, place] == page["keys"][0]
            assert page["notional_sum"] == (np.abs(page["keys"][in_page]) * page["lots"][in_page]).sum()
        for reach in (0, 1, 63, 64, 5_000, 10**5):
            start, end = int(ladder["first_block"]) * 64, min(int(ladder["first_block"]) * 64 + reach, ladder["width"])
            inside = {key: lots for key, lots in held.items() if start <= key - int(ladder["base"]) < end}
            wanted = (sum(inside.values()), sum(abs(key) * lots for key, lots in inside.items()))
            assert start >= end or sum_ladder(ladder, start, end) == wanted

    @pytest.mark.parametrize("step", [-3, 5])
    def test_a_side_that_the_best_price_runs_through_stays_on_its_ladder(self, step: int) -> None:
        side, one = sides.make_side(sides.pages_for(300)), np.array([0])
        sides.fill(*side, one, one + 1, 0)
        for number in range(40_000):
            assert sides.set_level(side.ladder, *side[1:], step * number, 7) >= 0
            sides.set_level(side.ladder, *side[1:], step * (number - 200), 0)
            sides.keep_centred(side.ladder, *side[1:])
        assert int(side.ladder["pages"]) == 0 < int(side.ladder["width"])

    def test_levels_far_apart_are_in_pages_alone(self) -> None:
        side, keys = sides.make_side(sides.pages_for(300)), 10**6 * np.arange(300)
        sides.fill(*side, keys, keys + 1, 0)
        assert int(side.ladder["width"]) == 0
        assert sides.levels_of(side)[0].tolist() == keys.tolist()

    def test_a_side_without_room_says_so_and_is_as_it_was(self) -> None:
        side = sides.make_side(sides.LEAST_PAGES)
        none = np.zeros(0, dtype=np.int64)
        sides.fill(*side, none, none, 0)
        key = next(key for key in range(10_000) if sides.set_level(side.ladder, *side[1:], key, 1) == pages.NO_ROOM)
        assert sides.levels_of(side)[0].tolist() == list(range(key))


@pytest.mark.parametrize("place", range(64))
def test_the_first_place_is_that_of_the_lowest_bit(place: int) -> None:
    assert first_place(-(1 << place)) == place
    assert first_place(1 << place if place < 63 else -(1 << 63)) == place


@settings(max_examples=fourth_of(400))
@given(numerator=st.integers(-(MOST * 2) + 1, MOST * 2 - 1), denominator=st.integers(1, MOST * 2 - 1))
def test_a_quotient_is_pythons(numerator: int, denominator: int) -> None:
    assert true_divide(numerator, denominator).hex() == (numerator / denominator).hex()


class TestDecoder:
    """Whatever the bytes are, it gives what the codec gives: the same record, or the same error."""

    def check(self, payloads: list[bytes | None]) -> int:
        expected = decode_each(lambda payload: decode_as(L2Record, payload), payloads)
        for found, wanted in zip(KERNEL.decode(payloads), expected, strict=True):
            if isinstance(wanted, MessageError):
                assert isinstance(found, MessageError)
                assert (type(found), str(found)) == (type(wanted), str(wanted))
            else:
                assert (found.record() if isinstance(found, DeltaRow) else found) == wanted
        return sum(isinstance(found, DeltaRow) for found in KERNEL.decode(payloads))

    def test_streams_and_what_is_none(self) -> None:
        for seed in range(12):
            records = [*stream(seed), *extreme(seed)]
            deltas = sum(record.kind is Kind.DELTA for record in records)
            assert self.check([None, *map(encode, records), b""]) == deltas

    def test_a_record_cut_at_every_byte(self) -> None:
        for payload in self.payloads():
            self.check([payload[:end] for end in range(len(payload))])
            self.check([payload + b"\0", payload])

    def test_a_record_with_any_byte_changed(self) -> None:
        random = Random(7)
        for payload in self.payloads():
            changed = [bytearray(payload) for _ in range(len(payload))]
            for at, data in enumerate(changed):
                data[at] = random.choice((0, 1, 2, 127, 128, 255, data[at] ^ 1, data[at] ^ 128))
            self.check([bytes(data) for data in changed])

    @given(data=st.binary(max_size=60), at=st.integers(0, 200))
    @settings(max_examples=fourth_of(100))
    def test_a_record_with_any_bytes_put_into_it(self, data: bytes, at: int) -> None:
        payload = self.payloads()[0]
        self.check([payload[:at] + data + payload[at:], payload[:5] + data, data])

    @pytest.mark.parametrize(
        "blocks",
        [
            b"\x03\x04\x02\x04\x00",  # a negative count, its bytes, two numbers
            b"\x02\x02\x02\x04\x00",  # two blocks of one
            b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # more numbers than there are bytes
            b"\x04\x02\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x00",  # a number of eleven bytes
            b"\x04\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00",  # one beyond int64
            b"\x04\x02\x84\x00\x00",  # one longer than it need be
            b"\x04\x02\x03\x00",  # a negative one
        ],
    )
    def test_arrays_in_every_form(self, blocks: bytes) -> None:
        record = next(r for r in stream(5) if r.kind is Kind.DELTA and len(r.bid_ticks) == 0 == len(r.ask_ticks))
        payload = encode(record)
        at = payload.rindex(b"\0" * 6)
        self.check([payload[: at + n] + blocks + payload[at + n + 1 :] for n in range(6)])
        self.check([payload[:at] + blocks + blocks + payload[at + 2 :]])

    def test_numbers_at_their_bounds(self) -> None:
        [record] = [record for record in stream(4) if record.kind is Kind.DELTA][:1]
        ends = (-(2**63), -1, 0, 1, 2**31 - 1, 2**31, 2**63 - 1)
        names = (
            "epoch",
            "sequence",
            "previous_sequence",
            "exchange_ns",
            "received_ns",
            "quote_flow_lots",
            "quote_events",
        )
        fields = [{name: end} for name in names for end in ends if name != "quote_events" or 0 <= end < 2**31]
        self.check([encode(msgspec_replace(record, **changed)) for changed in fields])

    @staticmethod
    def payloads() -> list[bytes]:
        records = [record for seed in (3, 9) for record in (*stream(seed)[:60], *extreme(seed)[:60])]
        deltas = [record for record in records if record.kind is Kind.DELTA]
        return [encode(record) for record in (*deltas[:5], records[0])]


def msgspec_replace(record: L2Record, **changed: Any) -> L2Record:
    return msgspec.structs.replace(record, **changed)


def test_its_bytes_are_the_codecs() -> None:
    for seed in range(12):
        records = stream(seed)
        found = KERNEL.step(KERNEL.fresh(), range(len(records)), KERNEL.rows(records))
        wanted = REFERENCE.step(REFERENCE.fresh(), range(len(records)), records)
        where = (records[0], "abcdefgh", seed)
        assert found.encoded(*where) == wanted.encoded(*where)


def test_a_damaged_checkpoint_is_refused() -> None:
    records = stream(8)
    state = KERNEL.fresh()
    KERNEL.step(state, range(len(records)), KERNEL.rows(records))
    whole, random = KERNEL.dump(state), Random(1)
    for cut in range(0, len(whole), 3):
        with pytest.raises(DecodeError):
            KERNEL.load(whole[:cut])
    for _ in range(400):
        data = bytearray(whole)
        data[random.randrange(len(data))] = random.randrange(256)
        try:
            assert KERNEL.dump(KERNEL.load(bytes(data)))
        except DecodeError:
            continue


def test_deltas_that_no_column_holds_stay_records() -> None:
    record = next(record for record in stream(4) if record.kind is Kind.DELTA)
    odd = [msgspec_replace(record, previous_sequence=None), msgspec_replace(record, bid_ticks=[1], bid_lots=[])]
    assert rows_of(odd) == odd
    assert isinstance(rows_of([record])[0], DeltaRow)
    assert rows_of([msgspec_replace(record, epoch=2**64)])[0].epoch == 2**64
