"""tardis-node is given the frames that obflow reads, and is run only where it was fetched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from obflow.settings import Settings
from producers.messages import Frame, Via
from tests.benchmarks.peers import install
from tests.benchmarks.peers.install import HERE, folder_of, is_ready, main
from tests.benchmarks.peers.tardis_node import Played, as_live_feed, lined_up, tardis_node, with_its_depth

BOOK = b'{"lastUpdateId":7,"E":1,"T":1,"bids":[["0.1","3"]],"asks":[]}'
UPDATE = (
    b'{"stream":"btcusdt@depth","data":{"e":"depthUpdate","E":2,"T":2,"s":"BTCUSDT","U":6,"u":8,"pu":5,"b":[],"a":[]}}'
)
NEXT = UPDATE.replace(b'"U":6,"u":8,"pu":5,"b":[]', b'"U":9,"u":9,"pu":8,"b":[["0.3","0.000"],["0.1","3"]]')


def test_frames_lie_behind_their_lengths() -> None:
    assert lined_up([b"ab", b"", b"\n"]) == b"\2\0\0\0ab\0\0\0\0\1\0\0\0\n"


def test_a_fetched_book_comes_to_the_peer_as_a_message_of_a_stream() -> None:
    given = json.loads(as_live_feed(Frame(1, Via.REST, raw=BOOK), "binance-futures", "BTCUSDT"))
    assert (given["stream"], given["data"]) == ("btcusdt@depthSnapshot", json.loads(BOOK))
    assert as_live_feed(Frame(1, Via.WS, raw=UPDATE), "binance-futures", "BTCUSDT") == UPDATE


@pytest.mark.parametrize(
    ("topic", "given"),
    [
        (b"orderbook.500.X", b"orderbook.50.X"),
        (b"orderbook.50.X", b"orderbook.50.X"),
        (b"orderbook.1.X", b"orderbook.1.X"),
    ],
)
def test_a_book_of_bybit_has_the_topic_that_the_peer_takes(topic: bytes, given: bytes) -> None:
    assert with_its_depth(Frame(1, Via.WS, raw=b'{"topic":"%b"}' % topic)).raw == b'{"topic":"%b"}' % given


def test_the_lock_pins_what_is_declared_with_a_digest_of_each_and_names_no_host() -> None:
    (declared,) = json.loads((HERE / "package.json").read_text("utf-8"))["dependencies"].items()
    packages = json.loads((HERE / "package-lock.json").read_text("utf-8"))["packages"]
    fetched = [package for path, package in packages.items() if path]
    assert packages["node_modules/tardis-dev"]["version"] == declared[1]
    assert declared[0] == "tardis-dev"
    assert all(package["integrity"].startswith("sha512-") and "resolved" not in package for package in fetched)


def test_without_node_a_sentence_says_so_with_exit_code_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main() == 3
    said = capsys.readouterr().err
    assert "make bench-peers needs Node.js with npm, and node and npm cannot be found on the PATH" in said
    assert not is_ready(tmp_path)


def test_what_npm_did_not_fetch_whole_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "missing", lambda _: [])
    monkeypatch.setattr(install, "NPM_CI", ("false",))
    with pytest.raises(install.DependencyError, match="did not fetch"):
        install.fetch(tmp_path)
    assert [*(tmp_path / "peers").iterdir()] == []


@pytest.mark.skipif(not is_ready(Settings.load().cache), reason="`make bench-peers` fetches tardis-node")
def test_the_peer_maps_each_update_and_counts_what_it_maps_in_a_round() -> None:
    before = [UPDATE, as_live_feed(Frame(1, Via.REST, raw=BOOK), "binance-futures", "BTCUSDT")]
    given = Played(before, [UPDATE, NEXT])
    with tardis_node(folder_of(Settings.load().cache), "binance-futures", given, times=2, warm_up=2) as peer:
        empty, change = (of_frame[0] for of_frame in peer.changes())
        assert peer.round() > 0
    assert (empty.levels, change.symbol, change.bids) == (0, "BTCUSDT", [(0.3, 0.0), (0.1, 3.0)])
    assert [(one.frames, one.changes, one.levels) for one in peer.rounds] == [(2, 2, 2)]
