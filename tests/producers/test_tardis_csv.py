"""Datasets of Tardis: which rows are a message, what becomes of them, and what is refused."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from producers.books.stream import InstrumentStream
from producers.exchanges import EXCHANGES
from producers.messages import DepthSnapshot, Frame, Ignored, TradeTick, VenueMessage
from producers.recordings.opened import Opened, open_recording, require_venue, venue_of
from producers.recordings.reader import RecordingReplay, Scan
from research.verify import top_levels
from schemas.errors import FatalError, MessageError, UsageError
from schemas.messages import Kind, L2Record

VENUE = EXCHANGES["binance-futures"]
HEAD = "exchange,symbol,timestamp,local_timestamp"
L2_HEADER = f"{HEAD},is_snapshot,side,price,amount"
TRADES_HEADER = f"{HEAD},id,side,price,amount"
QUOTES_HEADER = f"{HEAD},ask_amount,ask_price,bid_price,bid_amount"
US = 1_700_000_000_000_000


def row(time: int, received: int, *cells: object, symbol: str = "BTCUSDT", exchange: str = "binance-futures") -> str:
    return ",".join(map(str, (exchange, symbol, US + time, US + received, *cells)))


def level(time: int, received: int, flag: str, side: str, price: str, amount: str) -> str:
    return row(time, received, flag, side, price, amount)


BOOK = [
    level(0, 5, "true", "bid", "100.1", "1.5"),
    level(0, 5, "true", "bid", "90", "1"),
    level(0, 5, "true", "ask", "100.2", "2"),
]
CHANGES = [
    level(10, 15, "false", "bid", "100.1", "0"),
    level(10, 15, "false", "bid", "100.05", "1e-3"),
    level(20, 25, "false", "ask", "100.2", "2.5"),
]


def write(path: Path, header: str, rows: list[str]) -> Path:
    text = "".join(f"{line}\n" for line in (header, *rows)).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def opened(path: Path, **options: bool) -> Opened:
    return open_recording(path, VENUE, **options)


def messages(path: Path) -> list[VenueMessage]:
    source, reader = opened(path)
    return [message for frame in source.frames() for message in reader.parse(frame)]


def replayed(path: Path) -> tuple[list[L2Record], InstrumentStream]:
    replay = RecordingReplay(path, VENUE)
    records = [record for record in replay.records() if isinstance(record, L2Record)]
    (stream,) = replay.router.streams.values()
    return records, stream


class TestBooks:
    @pytest.mark.parametrize("name", ["l2.csv", "l2.csv.gz", "renamed.dat"])
    def test_rows_of_a_message_are_a_frame_and_numbers_stay_exact(self, tmp_path: Path, name: str) -> None:
        records, stream = replayed(write(tmp_path / name, L2_HEADER, [*BOOK, *CHANGES]))
        assert [(one.kind, one.previous_sequence, one.sequence) for one in records] == [
            (Kind.SNAPSHOT, None, 1),
            (Kind.DELTA, 1, 2),
            (Kind.DELTA, 2, 3),
        ]
        assert records[1].exchange_ns == (US + 10) * 1000
        assert records[1].received_ns == (US + 15) * 1000
        assert (stream.kept.listed.price.step, stream.kept.listed.size.step) == ("0.01", "0.001")
        assert top_levels(stream.tracked, 5) == ([("100.05", "0.001"), ("90.00", "1.000")], [("100.20", "2.500")])

    def test_a_whole_book_replaces_the_one_before_and_is_no_gap(self, tmp_path: Path) -> None:
        again = [level(30, 35, "true", "bid", "99", "1"), level(30, 35, "true", "ask", "101", "1")]
        _, stream = replayed(write(tmp_path / "a.csv", L2_HEADER, [*BOOK, *CHANGES, *again]))
        assert (stream.counters.snapshots, stream.counters.gaps, stream.is_live) == (2, 0, True)
        assert (stream.book.bid_levels, stream.book.ask_levels) == (1, 1)

    def test_a_book_in_parts_is_one_and_a_later_one_is_another(self, tmp_path: Path) -> None:
        parts = [
            level(0, 5, "true", "bid", "100", "1"),
            level(0, 6, "true", "ask", "101", "1"),  # the same moment of the venue
            level(1, 6, "true", "ask", "102", "1"),  # the same moment of receipt
            level(9, 9, "true", "bid", "90", "1"),
            level(9, 9, "true", "ask", "91", "1"),
        ]
        books = messages(write(tmp_path / "a.csv", L2_HEADER, parts))
        assert [(len(book.bids), len(book.asks)) for book in books if isinstance(book, DepthSnapshot)] == [
            (1, 2),
            (1, 1),
        ]

    def test_rows_before_the_first_book_are_left_out_and_counted(self, tmp_path: Path) -> None:
        records, stream = replayed(write(tmp_path / "a.csv", L2_HEADER, [*CHANGES, *BOOK_LATER]))
        assert [record.kind for record in records] == [Kind.SNAPSHOT]
        assert (stream.counters.deltas_dropped, stream.is_live) == (2, True)

    def test_several_instruments_are_kept_apart(self, tmp_path: Path) -> None:
        other = [line.replace("BTCUSDT", "ETHUSDT") for line in BOOK]
        replay = RecordingReplay(write(tmp_path / "a.csv", L2_HEADER, [*BOOK, *other, *CHANGES]), VENUE)
        list(replay)
        applied = {symbol: stream.counters.deltas_applied for symbol, stream in replay.router.streams.items()}
        assert applied == {"BTCUSDT": 2, "ETHUSDT": 0}

    def test_a_row_with_a_bad_number_costs_its_book_and_is_a_dead_letter(self, tmp_path: Path) -> None:
        bad = level(30, 35, "false", "bid", "cheap", "1")
        replay = RecordingReplay(write(tmp_path / "a.csv", L2_HEADER, [*BOOK, bad]), VENUE)
        list(replay)
        assert replay.router.rejected == {"InvalidNumber": 1}
        assert not replay.router.streams["BTCUSDT"].is_live


BOOK_LATER = [level(40, 45, "true", "bid", "99", "1"), level(40, 45, "true", "ask", "101", "1")]


class TestOthers:
    def test_trades_have_the_takers_side(self, tmp_path: Path) -> None:
        rows = [
            row(0, 1, "7", "buy", "100.10", "0.5"),
            row(0, 1, "8", "sell", "100", "1e-7"),
            row(2, 3, "", "unknown", "1", "1"),
        ]
        first, second, third = messages(write(tmp_path / "trades.csv", TRADES_HEADER, rows))
        assert first == TradeTick("BTCUSDT", "7", "100.10", "0.5", True, US * 1000)
        assert second == TradeTick("BTCUSDT", "8", "100", "0.0000001", False, US * 1000)
        assert third == Ignored("trade_without_side")

    def test_liquidations_are_no_trades(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x_liquidations_2020-09-01.csv", TRADES_HEADER, [row(0, 1, "7", "buy", "100", "1")])
        assert messages(path) == [Ignored("liquidation")]

    def test_quotes_are_books_of_one_level_and_a_side_may_be_empty(self, tmp_path: Path) -> None:
        rows = [row(0, 1, "2", "101", "100", "3"), row(2, 3, "2", "101", "", "")]
        _, stream = replayed(write(tmp_path / "q.csv", QUOTES_HEADER, rows))
        assert top_levels(stream.tracked, 5) == ([], [("101", "2")])
        assert stream.counters.snapshots == 2

    def test_books_of_some_levels_may_have_fewer(self, tmp_path: Path) -> None:
        cells = [f"{side}[{n}].{what}" for n in range(2) for side in ("asks", "bids") for what in ("price", "amount")]
        path = write(tmp_path / "b.csv", ",".join((HEAD, *cells)), [row(0, 1, 101, 1, 100, 2, 102, 3, "", "")])
        (book,) = messages(path)
        assert isinstance(book, DepthSnapshot)
        assert (book.asks, book.bids) == ([("101", "1"), ("102", "3")], [("100", "2")])

    def test_a_ticker_tells_what_its_cells_hold(self, tmp_path: Path) -> None:
        columns = (
            "funding_timestamp,funding_rate,predicted_funding_rate,open_interest,last_price,index_price,mark_price"
        )
        told = row(0, 1, "1569916800000000", "-1e-05", "0.3", "84129491", "7987.5", "7989.28", "7987.56")
        path = write(tmp_path / "t.csv", f"{HEAD},{columns}", [told, row(1, 2, "", "", "0.1", "", "7", "", "")])
        ticker, nothing = messages(path)
        assert ticker.funding_rate == "-0.00001"
        assert ticker.next_funding_ns == 1_569_916_800 * 10**9
        assert (ticker.mark_price, ticker.index_price, ticker.open_interest) == ("7987.56", "7989.28", "84129491")
        assert nothing == Ignored("derivative_ticker")


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (lambda text: text[:-4], r"row 7 .*it is cut short"),
            (lambda text: text[:-8] + "\n", r"row 7 .*no 8 columns"),
            (lambda text: text.replace("is_snapshot", "snapshot"), "no header of a Tardis dataset"),
            (lambda text: text.replace(str(US + 15), f"{US + 15}000"), r"row 5 .*is in ns, where Tardis writes µs"),
            (lambda text: text.replace(str(US + 15), str(US // 1000)), r"row 5 .*is in ms, where Tardis writes µs"),
            (lambda text: text.replace(str(US + 15), "yesterday"), r"row 5 .*'yesterday', no time in µs"),
            (lambda text: text.replace("binance-futures", "deribit").replace("deribit", "binance-futures", 1),
             r"row 3 .*another exchange"),
        ],
    )  # fmt: skip
    def test_a_file_whose_shape_is_off_is_one_sentence(self, tmp_path: Path, change: object, sentence: str) -> None:
        path = write(tmp_path / "a.csv", L2_HEADER, [*BOOK, *CHANGES])
        assert callable(change)
        path.write_text(change(path.read_text()))
        with pytest.raises(FatalError, match=sentence):
            RecordingReplay(path, VENUE)

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("", "begins with nothing, not with a header of Tardis"),
            ("\n" + L2_HEADER + "\n", "begins with nothing, not with a header of Tardis"),
            ('"exchange","symbol"\n"binance","A"\n', "no header of a Tardis dataset"),
            ("symbol,exchange\nA,1\n", "no header of a Tardis dataset"),
        ],
    )
    def test_a_file_without_a_header_says_so_before_its_rows_are_taken_for_anything(
        self, tmp_path: Path, text: str, sentence: str
    ) -> None:
        (path := tmp_path / "a.csv").write_text(text)
        for read in (lambda: require_venue(path, None), lambda: open_recording(path, VENUE)):
            with pytest.raises(FatalError, match=sentence):
                read()

    @pytest.mark.parametrize("empty", ["\n", "\r\n", "  \n", "\n\n"])
    def test_an_empty_line_at_the_end_says_nothing_and_elsewhere_a_row_is_missing(
        self, tmp_path: Path, empty: str
    ) -> None:
        path = write(tmp_path / "a.csv", L2_HEADER, [*BOOK, *CHANGES])
        plain = messages(path)
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join([*lines, empty]))
        assert messages(path) == plain
        path.write_text("".join([*lines[:4], empty, *lines[4:]]))
        with pytest.raises(FatalError, match=r"row 5 .*no 8 columns"):
            messages(path)

    @pytest.mark.parametrize("kept", [5, 40, -6])
    def test_a_damaged_archive_is_one_sentence_before_anything_is_given(self, tmp_path: Path, kept: int) -> None:
        path = write(tmp_path / "a.csv.gz", L2_HEADER, [*BOOK, *CHANGES])
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(FatalError, match="cut short or damaged"):
            RecordingReplay(path, VENUE)

    def test_what_lies_before_the_damage_can_be_read(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", L2_HEADER, [*BOOK, *CHANGES])
        path.write_text(path.read_text()[:-4])
        source, _ = opened(path, until_damage=True)
        assert len(list(source.frames())) == 1  # the message right before may have lost a row, and is left out

    def test_a_time_of_the_venue_in_another_unit_is_a_bad_frame(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", L2_HEADER, [line.replace(f"{US},", f"{US}000,") for line in BOOK])
        source, reader = opened(path)
        (frame,) = source.frames()
        with pytest.raises(MessageError, match="no time in µs"):
            reader.parse(frame)

    def test_a_time_whose_nanoseconds_are_beyond_int64_is_none(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", L2_HEADER, [line.replace(f"{US},", "9300000000000000,") for line in BOOK])
        source, reader = opened(path)
        (frame,) = source.frames()
        with pytest.raises(MessageError, match="no time in µs"):
            reader.parse(frame)

        late = write(
            tmp_path / "b.csv", L2_HEADER, [",".join([*BOOK[0].split(",")[:3], "9300000000000000", "true,bid,1,1"])]
        )
        with pytest.raises(FatalError, match="no time in µs"):
            RecordingReplay(late, VENUE)


class TestVenues:
    @pytest.mark.parametrize(
        ("exchange", "venue"), [("okex-swap", "okx"), ("okex", "okx"), ("bybit-spot", "bybit-spot")]
    )
    def test_a_file_says_its_venue(self, tmp_path: Path, exchange: str, venue: str) -> None:
        path = write(tmp_path / "a.csv", L2_HEADER, [row(0, 1, "true", "bid", "1", "1", exchange=exchange)])
        assert require_venue(path, None) == venue_of(path) == venue
        assert require_venue(path, "deribit") == "deribit"

    def test_an_exchange_that_is_no_venue_of_ours_is_named(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", L2_HEADER, [row(0, 1, "true", "bid", "1", "1", exchange="bitmex")])
        with pytest.raises(UsageError, match="bitmex, which is no venue here"):
            require_venue(path, None)

    def test_a_file_is_not_read_as_another_venues(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", L2_HEADER, BOOK)
        with pytest.raises(UsageError, match="is of binance-futures, not of deribit"):
            open_recording(path, EXCHANGES["deribit"])

    def test_a_file_that_says_nothing_needs_a_name(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", L2_HEADER, [])
        with pytest.raises(UsageError, match="does not say which venue"):
            require_venue(path, None)
        assert RecordingReplay(path, VENUE).found == Scan({}, 0, 0, 0)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        path = write(tmp_path / f"{rows}.csv.gz", L2_HEADER, list(many(rows)))
        source, _ = opened(path)
        tracemalloc.start()
        frames = sum(1 for _ in source.frames())
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert frames == rows // 2
        return most

    assert peak(8_000) < 2 * peak(2_000)


def many(rows: int) -> Iterator[str]:
    for number in range(rows):
        yield level(number // 2, number // 2, "false", "bid", str(number % 97), "1")


def test_a_frame_holds_rows_as_they_stood(tmp_path: Path) -> None:
    source, _ = opened(write(tmp_path / "a.csv", L2_HEADER, BOOK))
    (frame,) = source.frames()
    assert frame == Frame((US + 5) * 1000, frame.via, "a", raw="\n".join(BOOK).encode())
