"""A recording in parts is what it would be in one file, and each part is a recording by itself."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.exchanges import EXCHANGES
from producers.messages import Frame, Via
from producers.recordings.digests import digest_of, digest_of_all
from producers.recordings.opened import open_recording, venue_of
from producers.recordings.parts import grouped, head_of, parts_in
from producers.recordings.recording import Head
from producers.recordings.rotating import RotatingWriter
from producers.recordings.rotation import Rotation
from producers.recordings.writer import RecordingWriter
from schemas.errors import FatalError, UsageError
from schemas.units import NS_PER_SECOND
from tests.producers.parted import LIST, VENUE, a_minute, alone, at, names, read, record


class TestRotation:
    def test_a_part_ends_with_its_stretch_of_the_clock_however_late_it_began(self) -> None:
        rotation = Rotation(every_ns=10)
        assert not rotation.is_due(began_ns=11, now_ns=19, written=10**12)
        assert rotation.is_due(began_ns=19, now_ns=20, written=0)
        assert not rotation.is_due(began_ns=20, now_ns=9, written=0), "a clock that is set back ends none"

    def test_a_part_ends_with_its_size(self) -> None:
        rotation = Rotation(most_bytes=100)
        assert not rotation.is_due(began_ns=0, now_ns=10**18, written=99)
        assert rotation.is_due(began_ns=0, now_ns=0, written=100)

    def test_names_sort_as_parts_follow_and_say_when_they_began(self, tmp_path: Path) -> None:
        writer = record(tmp_path, a_minute())
        assert names(writer.parts) == sorted(names(writer.parts)) == names(parts_in(tmp_path))
        assert writer.parts[1].name == "binance-000002-19700101T000010Z.frames.jsonl.gz"

    def test_whoever_wants_to_know_is_told_of_every_part_but_the_first(self, tmp_path: Path) -> None:
        told: list[int] = []
        with RotatingWriter(tmp_path, VENUE, [], Rotation(10 * NS_PER_SECOND)) as writer:
            writer.on_part = lambda: told.append(len(writer.parts))
            for frame in a_minute():
                writer.write(frame)
        assert told == [2, 3, 4, 5, 6]


class TestAlone:
    def test_a_part_begins_with_the_list_and_the_connections_that_stand(self, tmp_path: Path) -> None:
        frames = [LIST, at(1, Via.CONNECT, "a"), at(2, Via.CONNECT, "b"), at(3, Via.DISCONNECT, "a"), at(11)]
        _, second = record(tmp_path, frames).parts

        began_ns = 11 * NS_PER_SECOND
        assert alone(second) == [LIST._replace(received_ns=began_ns), at(11, Via.CONNECT, "b"), at(11)]
        assert head_of(second) == Head(VENUE, 2, continues=True)
        assert venue_of(second) == venue_of(tmp_path) == VENUE

    def test_answers_behind_the_list_are_not_repeated(self, tmp_path: Path) -> None:
        frames = [LIST, at(1, Via.CONNECT), at(2, Via.REST, text="a book"), at(11)]
        _, second = record(tmp_path, frames).parts
        assert b"a book" not in {frame.raw for frame in alone(second)}


class TestAsOne:
    @settings(max_examples=60, deadline=None)
    @given(
        steps=st.lists(
            st.tuples(st.integers(0, 7), st.sampled_from(Via), st.sampled_from("ab")), min_size=1, max_size=40
        ),
        every_s=st.integers(1, 20),
        most_bytes=st.sampled_from((None, 1, 200)),
        flush_every=st.integers(1, 5),
    )
    def test_any_split_into_parts_reads_as_the_whole(
        self, steps: list[tuple[int, Via, str]], every_s: int, most_bytes: int | None, flush_every: int
    ) -> None:
        frames, now = [LIST], 0
        for step, via, connection in steps:
            now += step
            frames.append(at(now, via, connection))
        with tempfile.TemporaryDirectory() as name:
            folder, whole = Path(name) / "parts", Path(name) / "whole.frames.jsonl.gz"
            rotation = Rotation(every_s * NS_PER_SECOND, most_bytes)
            with RotatingWriter(folder, VENUE, [], rotation) as parts, RecordingWriter(whole, VENUE) as one:
                for number, frame in enumerate(frames):
                    parts.write(frame)
                    one.write(frame)
                    if number % flush_every == 0:
                        parts.flush()
            assert read(folder) == read(*reversed(parts.parts)) == alone(whole) == frames
            assert parts.lines == one.lines == len(frames)

    def test_a_hole_takes_the_connections_with_it(self, tmp_path: Path) -> None:
        first, second, third = record(tmp_path, [LIST, at(1, Via.CONNECT), at(9), at(11), at(21)]).parts
        second.unlink()

        lost = at(9, Via.DISCONNECT)
        assert read(first, third) == [LIST, at(1, Via.CONNECT), at(9), lost, *alone(third)]

    def test_a_second_start_goes_on_with_a_new_part_that_continues_none(self, tmp_path: Path) -> None:
        record(tmp_path, [LIST, at(1, Via.CONNECT), at(9)])
        record(tmp_path, [at(20, Via.REST, "", "list"), at(21, Via.CONNECT, "2"), at(22, connection="2")])

        assert [head_of(path) for path in parts_in(tmp_path)] == [Head(VENUE, 1), Head(VENUE, 2)]
        assert read(tmp_path)[2:5] == [at(9), at(9, Via.DISCONNECT), at(20, Via.REST, "", "list")]

    def test_until_damage_ends_at_the_first_one(self, tmp_path: Path) -> None:
        _, second, _ = record(tmp_path, [LIST, at(1), at(11), at(21)]).parts
        second.write_bytes(second.read_bytes()[:-9])

        with pytest.raises(FatalError, match="cut short or damaged"):
            read(tmp_path)
        opened = open_recording(tmp_path, EXCHANGES[VENUE], until_damage=True)
        assert [frame.received_ns for frame in opened.source.frames()] == [0, NS_PER_SECOND, 11 * NS_PER_SECOND]

    def test_one_digest_stands_for_all_parts_however_they_are_named(self, tmp_path: Path) -> None:
        first, second, *_ = parts = record(tmp_path, a_minute()).parts
        assert digest_of(tmp_path) == digest_of_all(parts) == digest_of_all([*reversed(parts)])
        assert len({digest_of(tmp_path), digest_of(first), digest_of_all([first, second])}) == 3

    def test_neighbours_of_one_folder_are_played_as_one(self, tmp_path: Path) -> None:
        other = tmp_path / "other.frames.jsonl.gz"
        with RecordingWriter(other, VENUE) as writer:
            writer.write(at(1))
        first, second, *_ = record(tmp_path / "a", a_minute()).parts
        again = record(tmp_path / "b", [at(1)]).parts[0]
        folder = tmp_path / "a"
        assert grouped([first, second, again, other, folder]) == [(first, second), (again,), (other,), (folder,)]


class TestRefused:
    def test_a_folder_without_parts_and_parts_of_two_recordings_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="holds no parts"):
            parts_in(tmp_path)
        parts = [record(tmp_path / name, [at(1)]).parts[0] for name in "ab"]
        with pytest.raises(UsageError, match="are both part 1"):
            read(*parts)

    def test_a_folder_has_one_writer_and_one_venue(self, tmp_path: Path) -> None:
        with RotatingWriter(tmp_path, VENUE, [], Rotation(1)) as writer:
            writer.write(at(1))
            with pytest.raises(UsageError, match="another recorder writes into"):
                RotatingWriter(tmp_path, VENUE, [], Rotation(1))
        with pytest.raises(UsageError, match="holds a recording of binance, not of okx"):
            RotatingWriter(tmp_path, "okx", [], Rotation(1))
        record(tmp_path, [at(2)])  # what was refused holds the folder no longer

    def test_what_is_fetched_whole_wants_a_folder_without_parts_and_leaves_none_behind(self, tmp_path: Path) -> None:
        with RotatingWriter(tmp_path, VENUE, [], Rotation(NS_PER_SECOND), anew=True) as writer:
            writer.write(at(1))
            writer.write(at(2))
            writer.abandon()
        assert (list(tmp_path.iterdir()), writer.lines) == ([], 0)
        record(tmp_path, [at(1)])
        with pytest.raises(UsageError, match="holds parts already"):
            RotatingWriter(tmp_path, VENUE, [], Rotation(1), anew=True)

    def test_a_file_is_no_folder_and_a_folder_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("precious")
        with pytest.raises(UsageError, match="is a file, not a folder"):
            RotatingWriter(tmp_path / "a", VENUE, [], Rotation(1))
        with pytest.raises(UsageError, match=r"is a folder: name a file, or fill it with parts: --rotate 1h"):
            RecordingWriter(tmp_path, VENUE)


def test_a_folder_to_which_nothing_came_is_not_left_behind_and_one_that_was_there_is(tmp_path: Path) -> None:
    RotatingWriter(tmp_path / "made", VENUE, [], Rotation(1)).close()
    RotatingWriter(tmp_path / "abandoned", VENUE, [], Rotation(1)).abandon()
    (tmp_path / "there").mkdir()
    RotatingWriter(tmp_path / "there", VENUE, [], Rotation(1)).close()

    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_frames_alone_decide_where_a_part_ends(tmp_path: Path) -> None:
    def written(folder: Path) -> list[list[Frame]]:
        return [alone(path) for path in record(folder, a_minute()).parts]

    assert written(tmp_path / "a") == written(tmp_path / "b")
