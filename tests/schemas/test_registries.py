"""The lists in `schemas` agree with one another and with the files."""

from importlib import resources

import fastavro

from schemas.codec import RECORD_TYPES, schema_text
from schemas.factors import EVENT_HEAD, FACTOR_NAMES, FACTORS
from schemas.messages import FactorEvent
from schemas.topics import TOPICS
from schemas.versions import SCHEMAS
from tests.schemas.examples import example_files


def test_every_schema_file_is_registered_and_every_registered_file_exists() -> None:
    files = {entry.name for entry in (resources.files("schemas") / "avro").iterdir()}
    assert files == {version.filename for version in SCHEMAS}


def test_schema_ids_are_unique() -> None:
    assert len({version.schema_id for version in SCHEMAS}) == len(SCHEMAS)


def test_every_record_has_an_example_of_each_version() -> None:
    found = {(path.parents[1].name, path.parent.name) for path in example_files()}
    assert found == {(version.record, f"v{version.version}") for version in SCHEMAS}


def test_every_topic_carries_a_known_record_and_every_record_has_a_topic() -> None:
    carried = {topic.record for topic in TOPICS} - {"checkpoint"}
    assert carried == set(RECORD_TYPES)


def test_no_topic_is_an_orphan() -> None:
    for topic in TOPICS:
        assert topic.written_by, topic.name
        assert topic.read_by, topic.name
        assert topic.meaning, topic.name


def test_topic_names_are_unique() -> None:
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)


def test_the_factor_event_on_the_wire_has_exactly_the_listed_factors() -> None:
    newest = [version for version in SCHEMAS if version.record == "factors"][-1]
    schema = fastavro.schema.load_schema(str(resources.files("schemas") / "avro" / newest.filename))
    event = next(field for field in schema["fields"] if field["name"] == "events")["type"]["items"]
    head = set(EVENT_HEAD)
    assert [field["name"] for field in event["fields"] if field["name"] not in head] == list(FACTOR_NAMES)
    assert all(field["default"] is None for field in event["fields"] if field["name"] not in head)
    assert set(FactorEvent.__struct_fields__) - {"values"} <= head
    assert schema_text(newest)


def test_factor_names_are_unique_and_their_ranges_make_sense() -> None:
    assert len(set(FACTOR_NAMES)) == len(FACTORS)
    for factor in FACTORS:
        assert factor.unit, factor.name
        assert factor.meaning, factor.name
        if factor.low is not None and factor.high is not None:
            assert factor.low < factor.high, factor.name
