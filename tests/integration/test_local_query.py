"""`obflow query --file`: Parquet, CSV and recordings as tables, asked with a reader's rights and no more."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from tests.integration.advising import Command
from tests.integration.printing import print_here
from tests.support.tiers import tiered

pytestmark = [pytest.mark.integration, pytest.mark.slow]

RECORDING = Path(__file__).parents[1] / "recordings" / "binance-futures.frames.jsonl.gz"
TABLE = pa.table({"symbol": ["A", "B", "A"], "price": [1.5, None, 2.5], "n": pa.array([1, 2, 3], pa.int64())})


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    path = tmp_path / "p.parquet"
    pq.write_table(TABLE, path)
    return path


def test_a_file_is_a_table_whose_nulls_are_nulls(parquet: Path, tmp_path: Path) -> None:
    csv = tmp_path / "c.csv"
    pc.write_csv(TABLE.drop(["price"]), csv)
    out = print_here(
        "query",
        "--file",
        str(parquet),
        "--file",
        str(csv),
        "SELECT a.symbol, sum(a.price), max(b.n) FROM file1 AS a INNER JOIN file2 AS b USING n "
        "GROUP BY symbol ORDER BY symbol",
    ).decode()
    assert out.splitlines()[-2:] == ["A\t4\t3", "B\t\\N\t2"]
    assert "file1 is" in out


def test_a_recording_and_the_factors_of_it_can_be_asked(run: Command, tmp_path: Path) -> None:
    factors = tmp_path / "f.parquet"
    run("factors", str(RECORDING), "--venue=binance-futures", f"--out={factors}")
    frames = run("query", f"--file={RECORDING}", "SELECT count(), min(received_at) > '2024-01-01' FROM file")
    assert frames.splitlines()[-1] == "2506\t1"

    out = run("query", f"--file={factors}", "SELECT countIf(status = 'OK') > 100, any(source) FROM file")
    assert out.splitlines()[-1] == "1\treplay"
    described = run("query", f"--file={factors}", "DESCRIBE file", "--format=csv")
    assert '"spread_bps","Nullable(Float64)","","","[bps]"' in described


@pytest.mark.exhaustive
def test_the_statement_comes_from_a_file_too(run: Command, parquet: Path, tmp_path: Path) -> None:
    script = tmp_path / "q.sql"
    script.write_text("SELECT count()\nFROM file;\n")
    assert run("query", f"--file={parquet}", f"--from={script}").splitlines()[-1] == "3"


@pytest.mark.parametrize(
    "statement",
    tiered(
        [
            "SELECT * FROM file('/etc/passwd', 'LineAsString')",
            "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
            "INSERT INTO file VALUES ('C', 1, 4)",
            "DROP TABLE file",
            "KILL QUERY WHERE 1",
            "SYSTEM SHUTDOWN",
        ],
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "DROP TABLE file",
    ),
)
def test_nothing_but_reading_the_files_is_possible(run: Command, parquet: Path, statement: str) -> None:
    said = run("query", f"--file={parquet}", statement, code=1)

    assert "ClickHouse refused it" in said
    assert "root:" not in said
    assert f"the statement was: {statement}" in said
    assert "http://127.0.0.1" not in said.replace(statement, "")


@pytest.mark.exhaustive
@pytest.mark.advice(
    "name a .parquet, .csv, .csv.gz or .frames.jsonl.gz",
    "fetch or write it again",
    "leave the column out",
    "rename the column",
)
def test_files_that_cannot_be_asked(run: Command, parquet: Path, tmp_path: Path) -> None:
    count = "SELECT count() FROM file"
    (tmp_path / "x.txt").write_text("x")
    run.refused(
        "query",
        f"--file={tmp_path}/x.txt",
        count,
        sentence="name a .parquet, .csv, .csv.gz or .frames.jsonl.gz",
        code=2,
    )
    assert "is a folder" in run("query", f"--file={tmp_path}", count, code=2)
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(parquet.read_bytes()[:-20])
    run.refused("query", f"--file={bad}", count, sentence="fetch or write it again", code=1)
    nested = tmp_path / "nested.parquet"
    pq.write_table(TABLE.append_column("list", pa.array([[1], [2], [3]])), nested)
    run.refused("query", f"--file={nested}", count, sentence="leave the column out", code=2)
    named = tmp_path / "named.parquet"
    pq.write_table(TABLE.rename_columns(["symbol", "pri`ce", "n"]), named)
    run.refused("query", f"--file={named}", count, sentence="rename the column", code=2)
    for name, content in (("a.csv", b"\x00\xff\xfe\n"), ("b.csv.gz", gzip.compress(b"a,b\n1,2\n" * 9)[:-4])):
        (tmp_path / name).write_bytes(content)
        run.refused("query", f"--file={tmp_path / name}", count, sentence="fetch or write it again", code=1)
    line = b'\xef\xbb\xbf{"received_ns": %d, "via": "ws"}\n'
    frames = tmp_path / "late.frames.jsonl"
    frames.write_bytes(line % 2**63)
    run.refused("query", f"--file={frames}", count, sentence="fetch or write it again", code=1)
    frames.write_bytes(line % 1)
    assert run("query", f"--file={frames}", count).splitlines()[-1] == "1"
    for path in (bad, nested, named):
        pq.write_table(TABLE, path)
        assert run("query", f"--file={path}", count).splitlines()[-1] == "3"


@pytest.mark.advice("`make setup` installs the embedded one")
def test_without_an_engine_it_says_what_installs_one(
    run: Command, parquet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make setup` is what this very suite was started by."""
    words = ("query", f"--file={parquet}", "SELECT count() FROM file")
    with monkeypatch.context() as patch:
        patch.setattr("obflow.query.entry_points", lambda group: [])
        run.refused(*words, sentence="`make setup` installs the embedded one", code=3)
    assert run(*words).splitlines()[-1] == "3"
