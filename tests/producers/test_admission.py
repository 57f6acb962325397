"""An instrument that comes to a running producer: once nobody else may begin, its trades on the log are known."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from types import SimpleNamespace
from typing import Any, cast

from producers.books.router import FrameRouter
from producers.exchanges import EXCHANGES
from producers.live.sharing import Admission
from producers.messages import Instrument
from schemas.errors import BrokerUnreachable
from schemas.messages import Source
from tests.producers.messages import BTC

ETH = Instrument("binance-futures", "ETHUSDT", "0.01", "0.001")


class Bench:
    """An admission among stand-ins: what happened, in order, and who is ours."""

    def __init__(self, ours: Collection[str], error: Exception | None = None) -> None:
        self.happened: list[tuple[str, Sequence[str]]] = []
        self._ours, self._error = ours, error
        router = FrameRouter(EXCHANGES["binance-futures"], {})
        carried = SimpleNamespace(announce=lambda one, _: router.add(one), drop=router.drop)
        feed = SimpleNamespace(router=router, carried=carried)
        guard = SimpleNamespace(free_of_rivals=list, epoch_of=lambda _: 0, admit=self._admit)
        self._admission = Admission(cast("Any", feed), cast("Any", guard), cast("Any", None), Source.LIVE, self._know)

    async def admitted(self) -> Sequence[str]:
        return await self._admission.admit([BTC, ETH])

    async def _admit(self, _publisher: object, _source: Source, claimed: Sequence[str]) -> list[str]:
        self.happened.append(("claimed", sorted(claimed)))
        return [symbol for symbol in claimed if symbol in self._ours]

    async def _know(self, symbols: Collection[str]) -> None:
        self.happened.append(("known", sorted(symbols)))
        if self._error is not None:
            raise self._error


async def test_its_last_trades_are_read_after_the_claim_and_only_of_what_is_ours() -> None:
    bench = Bench(ours=["ETHUSDT"])

    assert await bench.admitted() == ["ETHUSDT"]
    assert bench.happened == [("claimed", ["BTCUSDT", "ETHUSDT"]), ("known", ["ETHUSDT"])]


async def test_nothing_is_read_where_nothing_is_ours() -> None:
    bench = Bench(ours=[])

    assert await bench.admitted() == []
    assert [what for what, _ in bench.happened] == ["claimed"]


async def test_a_log_that_cannot_be_read_keeps_no_instrument_away() -> None:
    bench = Bench(ours=["BTCUSDT", "ETHUSDT"], error=BrokerUnreachable("no broker answers"))

    assert sorted(await bench.admitted()) == ["BTCUSDT", "ETHUSDT"]
