"""One suite over every venue that tells of derivatives: what it is asked, and what comes of the answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from producers.books.options import StreamOptions
from producers.books.records import ProducerRecord
from producers.contract import Exchange
from producers.exchanges import EXCHANGES
from producers.live.subscription_parts import in_messages
from producers.messages import Ack
from producers.recordings.reader import RecordingReplay
from producers.simulator.derivatives import DerivativeState
from producers.simulator.events import MarketEvent
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.recording import SimulatedRecording
from producers.simulator.session import VenueSession
from producers.simulator.venues import SIMULATED
from schemas.messages import DeadLetter, DerivativeRecord
from tests.producers.messages import framed

START_NS = 1_704_067_200 * 10**9
TELLING = {name: exchange for name, exchange in EXCHANGES.items() if exchange.derivatives is not None}
EACH = pytest.mark.parametrize("name", TELLING)


def simulated(name: str) -> SimulatedExchange:
    venue = SIMULATED[name]
    return SimulatedExchange(venue, venue.listed[:3], start_ns=START_NS, changes_per_second=60.0)


def derivatives_of(name: str) -> Exchange:
    found = TELLING[name].derivatives
    assert found is not None
    return found


def write(path: Path, recording: SimulatedRecording, damaged: Sequence[int] = ()) -> Path:
    """Keep a recording, of which the so-many-th frames about derivatives are cut short."""
    lines, told = [], 0
    for frame in recording:
        line = frame._asdict()
        if frame.connection.endswith("-derivatives") and frame.via == "ws":
            told += 1
            line["raw"] = frame.raw[:-9] if told in damaged else frame.raw
        lines.append(json.dumps(line))
    path.write_text("\n".join(lines) + "\n")
    return path


def replayed(path: Path, name: str) -> list[ProducerRecord]:
    return list(RecordingReplay(path, EXCHANGES[name], StreamOptions(epoch_floor=1)).records())


def test_spot_venues_have_nothing_to_tell() -> None:
    assert EXCHANGES.keys() - TELLING.keys() == {"binance", "bybit-spot"}
    assert derivatives_of("okx").streams("BTC-USDT") == ()
    assert derivatives_of("deribit").streams("BTC_USDC") == ()
    assert (
        len(derivatives_of("okx").streams("BTC-USD-250328")) == len(derivatives_of("okx").streams("BTC-USD-SWAP")) - 1
    )


@EACH
def test_what_is_asked_is_acknowledged_key_by_key(name: str) -> None:
    exchange, venue = derivatives_of(name), simulated(name)
    symbols = list(filter(exchange.streams, venue.specs))
    session = VenueSession(venue, exchange.websocket_path(symbols[0]), 0)
    for method in (exchange.subscribe, exchange.unsubscribe):
        says = [say for part in in_messages(exchange, symbols) for say in method(part)]
        answers = [text for say in says for text in session.receive(say.raw.decode(), 0) if isinstance(text, str)]
        keys = [one.key for text in answers for one in exchange.parse(framed(text.encode())) if isinstance(one, Ack)]
        assert sorted(keys) == sorted(key for say in says for key in say.acknowledged_by)
        assert keys
    assert not set(exchange.streams(symbols[0])) & set(TELLING[name].streams(symbols[0]))


@EACH
def test_a_message_names_no_more_channels_than_the_venue_allows(name: str) -> None:
    exchange, symbols = derivatives_of(name), [*SIMULATED[name].listed] * 40
    parts = in_messages(exchange, symbols)
    assert [symbol for part in parts for symbol in part] == symbols
    for part in parts:
        assert sum(len(exchange.streams(symbol)) for symbol in part) <= exchange.limits.streams_per_message


@EACH
def test_what_was_told_is_published_digit_by_digit_and_no_book_is_another(name: str, tmp_path: Path) -> None:
    quiet = replayed(write(tmp_path / "quiet.jsonl", SimulatedRecording(simulated(name), 6)), name)
    loud = replayed(write(tmp_path / "loud.jsonl", SimulatedRecording(simulated(name), 6, derivatives=True)), name)
    told = [record for record in loud if isinstance(record, DerivativeRecord)]

    assert [record for record in loud if not isinstance(record, DerivativeRecord)] == quiet
    truth = {
        (event.spec.symbol, event.sent_ns): (event.what, event.spec.size_text(event.what.open_lots))
        for event in simulated(name).advance(START_NS + 6 * 10**9)
        if isinstance(event, MarketEvent) and isinstance(event.what, DerivativeState)
    }
    assert {(record.symbol, record.exchange_ns) for record in told} == truth.keys()
    for record in told:
        state, interest = truth[record.symbol, record.exchange_ns or 0]
        said = (
            record.mark_price,
            record.index_price,
            record.funding_rate,
            record.next_funding_ns,
            record.open_interest,
        )
        texts = (state.mark_text, state.index_text, state.rate_text or None, state.next_funding_ns, interest)
        assert all(ours is None or Decimal(ours) == Decimal(its or 0) for ours, its in zip(said, texts, strict=True))
    for one in ("mark_price", "funding_rate"):
        assert any(getattr(record, one) is not None for record in told)


@EACH
def test_a_frame_that_cannot_be_read_is_a_letter_and_no_books_loss(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", SimulatedRecording(simulated(name), 4, derivatives=True), damaged=(8, 9))
    records, quiet = replayed(path, name), tmp_path / "q.jsonl"
    books = replayed(write(quiet, SimulatedRecording(simulated(name), 4)), name)
    letters = [record for record in records if isinstance(record, DeadLetter)]

    assert len(letters) == 2
    assert [one for one in records if not isinstance(one, DerivativeRecord | DeadLetter)] == books
