"""The commands as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from obflow.cli import main
from tests.obflow.terminal import on_terminal
from tests.producers.tardis_data import L2_HEADER
from tests.research.fixtures import SYMBOL, VENUES, frames, replay, script, symbol_of

EACH = pytest.mark.parametrize("venue", VENUES)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def result(capsys: pytest.CaptureFixture[str], *words: str, exit_code: int = 0) -> dict[str, Any]:
    code, out, err = run(capsys, *words, "--json")
    assert (code, err, out.count("\n")) == (exit_code, "", 1)
    found: dict[str, Any] = json.loads(out)
    return found


@EACH
def test_verify_prints_the_report(capsys: pytest.CaptureFixture[str], venue: str) -> None:
    is_wrong = any(book["checksums_bad"] for book in script(venue).get("instruments", {}).values())
    found = result(capsys, "verify", str(frames(venue)), "--venue", venue, exit_code=int(is_wrong))
    assert found["instruments"][symbol_of(venue)]["deltas_applied"] == script(venue)["deltas_applied"]

    code, out, _ = run(capsys, "verify", str(frames(venue)), "--venue", venue)
    assert code == int(is_wrong)
    assert symbol_of(venue) in out
    assert str(script(venue)["last_sequence"]) in out
    assert out.splitlines()[-1].startswith("not well: " if is_wrong else "well: ")


@EACH
def test_factors_prints_digests_and_writes_a_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, venue: str
) -> None:
    words, symbol = ("factors", str(frames(venue)), "--venue", venue), symbol_of(venue)
    answer = result(capsys, *words, "--digest", "--engine", "reference")
    found = answer["instruments"][symbol]
    assert answer["engine"] == "reference"
    assert found["events"] == len(script(venue)["l2"])

    out_path = tmp_path / "f.csv"
    code, out, _ = run(capsys, *words, "--symbol", symbol, "--out", str(out_path), "--digest", "--engine", "kernel")
    assert code == 0
    assert f"{symbol} {found['events']} events, digest {found['digest']} by the engine kernel" in out
    assert len(out_path.read_text().splitlines()) == found["events"] + 1


@EACH
def test_book_shows_a_moment(capsys: pytest.CaptureFixture[str], venue: str) -> None:
    at = str(replay(venue).found.last_ns)
    words = ("book", str(frames(venue)), "--venue", venue, "--symbol", symbol_of(venue), "--at", at)
    found = result(capsys, *words, "--levels", "2")
    assert (found["state"], found["sequence"]) == ("LIVE", script(venue)["last_sequence"])
    assert len(found["bids"]) == 2

    code, out, _ = run(capsys, *words)
    assert code == 0
    assert found["bids"][0][0] in out


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("verify", "{none}", "--venue", "binance"), 2, "there is no recording"),
        (("verify", "{frames}", "--venue", "nasdaq"), 2, "there is no venue 'nasdaq'"),
        (("verify", "{frames}"), 2, "venue"),
        (("verify", "{cut}", "--venue", "binance"), 1, "cut short"),
        (("factors", "{frames}", "--venue", "binance", "--symbol", "NOPE"), 2, "does not hold 'NOPE'"),
        (("factors", "{frames}", "--venue", "binance", "--out", "f.xlsx"), 2, "neither .csv nor .parquet"),
        (("factors", "{copy}", "--venue", "binance", "--out", "{copy}"), 2, "is the recording itself"),
        (("book", "{frames}", "--venue", "binance", "--symbol", SYMBOL, "--at", "noon"), 2, "'noon' is no moment"),
        (("evaluate", "regimes", "--recording", "{none}", "--venue", "binance"), 2, "there is no recording"),
        (("evaluate", "regimes", "--venue", "binance"), 2, "--venue says where a recording is of"),
    ],
)
def test_a_mistake_is_one_sentence_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[str, ...], code: int, sentence: str
) -> None:
    cut = tmp_path / "cut.gz"
    cut.write_bytes(b"\x1f\x8b\x08\x00\x00")
    copy = tmp_path / "copy.csv"
    copy.write_text(f"{L2_HEADER}\nbinance,{SYMBOL},1700000000000000,1700000000000001,true,bid,1,1\n")
    paths = {"none": tmp_path / "none", "frames": frames("binance"), "cut": cut, "copy": copy}

    found, out, err = run(capsys, *[word.format(**paths) for word in words])

    assert (found, out) == (code, "")
    assert sentence in err
    assert err.count("\n") == 1


@EACH
def test_evaluate_says_that_a_recording_without_a_model_shows_nothing(
    capsys: pytest.CaptureFixture[str], venue: str
) -> None:
    words = ("evaluate", "regimes", "--recording", str(frames(venue)), "--venue", venue)
    found = result(capsys, *words)
    assert (found["verdict"], found["model"], found["comparisons"]) == ("not shown", None, [])

    code, out, _ = run(capsys, *words)
    assert code == 0
    assert out.startswith(f"protocol {found['protocol_digest']}, fixed before looking:\n")
    assert out.endswith(f"{found['sentence']}\n")


@pytest.mark.recorded
@pytest.mark.slow
def test_evaluate_says_of_six_minutes_that_they_show_nothing(
    capsys: pytest.CaptureFixture[str], recordings: Path
) -> None:
    [file] = (recordings / "binance").glob("*.frames.jsonl.gz")
    engine = "--set=processor.engine=reference"  # that compiles nothing
    found = result(capsys, "evaluate", "regimes", "--recording", str(file), "--venue", "binance", engine)
    assert (found["verdict"], found["marks"], found["instruments"]) == ("not shown", 5, ["binance:BTCUSDT"])
    assert "no answer of a language model" in found["sentence"]
    known = {(score["forecaster"], score["target"]): score["marks"] for score in found["scores"]}
    assert known[("rules", "up")] == 3  # the first minute has no mid before it, the fifth a break inside
    assert known[("rules", "volatile")] == 0  # fewer than thirty minutes before


AT = str(replay("binance").found.last_ns)


@pytest.mark.parametrize(
    ("words", "doing"),
    [
        (("verify",), "verifying"),
        (("factors",), "computing"),
        (("book", "--symbol", SYMBOL, "--at", AT), "reading"),
    ],
)
def test_a_bar_is_drawn_on_a_terminal_and_the_result_stays_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], doing: str
) -> None:
    file = frames("binance")
    with on_terminal(monkeypatch) as terminal:
        assert main([words[0], str(file), "--venue", "binance", *words[1:], "--json"]) == 0
        drawn = terminal.drawn()
    assert capsys.readouterr().out.count("\n") == 1
    assert f"looking through {file.name}" in drawn
    assert f"{doing} {file.name}" in drawn


@pytest.mark.parametrize("command", ["verify", "factors", "book", "evaluate regimes"])
def test_help_has_an_example(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, out, _ = run(capsys, *command.split(), "--help")
    assert code == 0
    assert f"Example: obflow {command}" in " ".join(out.split())
