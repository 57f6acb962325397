"""Mistakes of configuration, each planted for real: `obflow doctor` names every one, with what mends it.

The list is the one of `docs/operations/faults.md`; a test holds the two together.
"""

from __future__ import annotations

import re
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from pydantic import SecretStr

from obflow import kafka, kafka_logs, topics
from obflow.broker_checks import broker_checks
from obflow.doctor import Check, examine, runtime_checks, store_checks
from obflow.findings import failed
from obflow.settings import ClickHouseSettings, Settings
from processors.llm.beside import arms_of
from processors.llm.reach import ListAnswer, endpoint_checks, endpoint_finding
from processors.settings import RegimeSettings
from schemas.errors import PipelineError
from schemas.topics import FACTORS, TRADES
from sinks.checks import table_checks
from tests.contract.advice import ROOT
from tests.integration.advising import TIMES, advice_in
from tests.integration.backends import free_port
from tests.integration.llm_server import llm_server
from tests.integration.sinking import Feed, opened, pipeline
from tests.support.patience import patient
from tests.support.tiers import tiered
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.new_database]

LIST = ROOT / "docs" / "operations" / "faults.md"


@dataclass
class Planted:
    """A pipeline that is well, and what is changed of it for one test.

    Attributes:
        settings: The settings that doctor gets.
        stack: Takes back what was done to the servers.
        patch: Takes back what was done to this process.
    """

    settings: Settings
    stack: ExitStack
    patch: pytest.MonkeyPatch

    def set(self, section: str, **changes: object) -> None:
        chosen = getattr(self.settings, section).model_copy(update=changes)
        self.settings = self.settings.model_copy(update={section: chosen})

    def sql(self, *statements: str) -> None:
        with opened(self.settings.clickhouse) as store:
            for statement in statements:
                store.command(statement)

    def model(self, **changes: object) -> None:
        self.set("regimes", **{"model": "m", **changes})


@pytest.fixture(scope="module")
def whole(broker: str, clickhouse_server: ClickHouseSettings) -> Iterator[Settings]:
    settings = pipeline(broker, clickhouse_server.model_copy(update={"database": "test_faults"}))
    yield settings
    with opened(clickhouse_server) as server:
        server.command("DROP DATABASE IF EXISTS test_faults SYNC")


def _topic_option(planted: Planted, name: str, value: str) -> None:
    topic = topics.topic_name(planted.settings, TRADES)

    def change(kind: AlterConfigOpType, text: str | None) -> None:
        entry = ConfigEntry(name, text, incremental_operation=kind)
        asked = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        client = kafka.admin(planted.settings)  # held until the answer is here
        for future in client.incremental_alter_configs([asked]).values():
            future.result(patient(20))

    change(AlterConfigOpType.SET, value)
    planted.stack.callback(topics.apply, planted.settings)


def _lose_topic(planted: Planted) -> None:
    _delete(planted.settings)
    planted.stack.callback(topics.apply, planted.settings)


def _delete(settings: Settings) -> None:
    name, client = topics.topic_name(settings, FACTORS), kafka.admin(settings)
    client.delete_topics([name])[name].result(patient(20))
    assert eventually(lambda: name not in client.list_topics(timeout=10).topics)


def _undo(planted: Planted, *statements: str) -> None:
    planted.stack.callback(planted.sql, *statements)


def _foreign_record(planted: Planted) -> None:
    feed = Feed(planted.settings, FACTORS)
    feed.send_bytes(b"\x00\x00\x00\xff\xff junk", key="x")
    feed.flush()
    planted.stack.callback(_new_prefix, planted)


def _new_prefix(planted: Planted) -> None:
    """The record cannot be taken back; the topic is made anew."""
    _delete(planted.settings)
    topics.apply(planted.settings)


def _endpoint(planted: Planted, **changes: object) -> None:
    server = planted.stack.enter_context(llm_server("good"))
    planted.model(base_url=server.url, **changes)


def _file_limit(planted: Planted) -> None:
    planted.patch.setattr(resource, "getrlimit", lambda _kind: (256, 256))


def _package(planted: Planted) -> None:
    planted.patch.setattr("obflow.doctor.requires", lambda _name: ["no-such-package>=1"])


FAULTS: dict[str, tuple[Callable[[Planted], object], str, str]] = {
    # what is wrong: how it is planted, the check that names it, and words of what mends it
    "the broker's port is another": (
        lambda it: it.set("kafka", bootstrap_servers=f"127.0.0.1:{free_port()}"),
        "broker",
        "set kafka.bootstrap_servers",
    ),
    "the broker's host has no address": (
        lambda it: it.set("kafka", bootstrap_servers="nowhere.invalid:9092"),
        "broker",
        "kafka.bootstrap_servers",
    ),
    "the client speaks TLS to a plain port": (
        lambda it: it.set("kafka", security_protocol="ssl"),
        "broker",
        "kafka.security_protocol",
    ),
    "the client logs in where nobody asked for it": (
        lambda it: it.set(
            "kafka",
            security_protocol="sasl_plaintext",
            sasl_mechanism="PLAIN",
            sasl_username="u",
            sasl_password=SecretStr("p"),
        ),
        "broker",
        "kafka.security_protocol",
    ),
    "the prefix of the topics is another": (
        lambda it: it.set("kafka", topic_prefix="other."),
        "topics",
        "`obflow topics apply`",
    ),
    "a topic is missing": (_lose_topic, "topics", "`obflow topics apply`"),
    "a topic keeps its records for another time": (
        lambda it: _topic_option(it, "retention.ms", "60000"),
        "topics",
        "`obflow topics apply`",
    ),
    "a topic is compacted": (
        lambda it: _topic_option(it, "cleanup.policy", "compact"),
        "topics",
        "`obflow topics apply`",
    ),
    "another number of partitions is set": (
        lambda it: it.set("kafka", partitions=it.settings.kafka.partitions + 1),
        "topics",
        "kafka.partitions",
    ),
    "a record is of another version": (_foreign_record, "records", "upgrade, or set kafka.topic_prefix"),
    "the database's port is another": (
        lambda it: it.set("clickhouse", port=free_port()),
        "store",
        "clickhouse.port",
    ),
    "the database's port is the broker's": (
        lambda it: it.set("clickhouse", port=int(it.settings.kafka.bootstrap_servers.rpartition(":")[2])),
        "store",
        "clickhouse",
    ),
    "the database's host has no address": (
        lambda it: it.set("clickhouse", host="nowhere.invalid"),
        "store",
        "clickhouse.host",
    ),
    "the client speaks HTTPS to a plain port": (
        lambda it: it.set("clickhouse", secure=True),
        "store",
        "clickhouse.secure",
    ),
    "the database's user is unknown": (
        lambda it: it.set("clickhouse", user="nobody", password=SecretStr("x")),
        "store",
        "clickhouse.user",
    ),
    "the database is not there": (
        lambda it: it.set("clickhouse", database="no_such"),
        "tables",
        "`obflow tables apply`",
    ),
    "a table is missing": (
        lambda it: (it.sql("DROP TABLE trades"), _tables_again(it)),
        "tables",
        "`obflow tables apply`",
    ),
    "a column is missing": (
        lambda it: (it.sql("ALTER TABLE trades DROP COLUMN price"), _tables_again(it)),
        "tables",
        "`obflow tables apply`",
    ),
    "a view is missing": (
        lambda it: (it.sql("DROP VIEW trades_1m"), _tables_again(it)),
        "tables",
        "`obflow tables apply`",
    ),
    "a column is of another type": (
        lambda it: (
            it.sql("ALTER TABLE trades MODIFY COLUMN trade_id LowCardinality(String)"),
            _undo(it, "ALTER TABLE trades MODIFY COLUMN trade_id String"),
        ),
        "tables",
        "rename the table",
    ),
    "the database is of a newer version": (
        lambda it: (
            it.sql("INSERT INTO migrations (kind, name, digest) VALUES ('migration', '9999_later', 'x')"),
            _undo(it, "ALTER TABLE migrations DELETE WHERE name = '9999_later' SETTINGS mutations_sync = 1"),
        ),
        "tables",
        "upgrade obflow",
    ),
    "a table of somebody else has a name of ours": (
        lambda it: (
            it.sql("DROP VIEW trades_1m", "CREATE TABLE trades_1m (a UInt8) ENGINE = MergeTree ORDER BY a"),
            _tables_again(it),
            _undo(it, "DROP TABLE trades_1m"),
        ),
        "tables",
        "set clickhouse.database to one of obflow's own",
    ),
    "the cache folder cannot be written": (
        lambda it: setattr(it, "settings", it.settings.model_copy(update={"cache": Path("/proc/none")})),
        "cache folder",
        "set OBFLOW_CACHE",
    ),
    "too few files may be open": (_file_limit, "open files", "ulimit -n"),
    "a package is missing": (_package, "packages", "`make setup`"),
    "the model's endpoint does not answer": (
        lambda it: it.model(base_url=f"http://127.0.0.1:{free_port()}/v1"),
        "model endpoint",
        "check regimes.base_url",
    ),
    "the model's endpoint is no address": (
        lambda it: it.model(base_url="model.example"),
        "model endpoint",
        "write it as http",
    ),
    "the second model's endpoint does not answer": (
        lambda it: _endpoint(it, rollout=True, green_model="n", green_base_url=f"http://127.0.0.1:{free_port()}/v1"),
        "model endpoint green",
        "check regimes.green_base_url",
    ),
    "the endpoint refuses the key": (
        lambda it: _endpoint_answers(it, ListAnswer(401)),
        "model endpoint",
        "check regimes.api_key_file",
    ),
    "the endpoint has no such model": (
        lambda it: _endpoint_answers(it, ListAnswer(200, ("a", "b"))),
        "model endpoint",
        "set regimes.model to one of its own: a, b",
    ),
}


def _tables_again(planted: Planted) -> None:
    from sinks import migrate

    def mend() -> None:
        with opened(planted.settings.clickhouse) as store:
            migrate.apply(store, ttl_days=0)

    # The last that is registered comes first: tables of others are taken away before ours are made again.
    planted.stack.callback(mend)


def _endpoint_answers(planted: Planted, answer: ListAnswer) -> None:
    _endpoint(planted)
    planted.patch.setattr("processors.llm.reach.ask_models", lambda _url, _key: answer)


@pytest.fixture
def planted(whole: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Planted]:
    quick = whole.kafka.model_copy(update={"request_timeout_seconds": 5.0})
    with ExitStack() as stack:
        yield Planted(whole.model_copy(update={"kafka": quick}), stack, monkeypatch)


CHECKS: dict[str, Callable[[Settings], list[Check]]] = {
    **dict.fromkeys(("broker", "topics", "records"), broker_checks),
    "store": lambda settings: checked("store", store_checks, settings),
    "tables": lambda settings: checked("tables", table_checks, settings),
    **dict.fromkeys(("cache folder", "open files", "packages"), runtime_checks),
    **dict.fromkeys(
        ("model endpoint", "model endpoint green"), lambda settings: endpoint_checks(settings.of(RegimeSettings))
    ),
}
"""The part of doctor that looks after it: all of it takes seconds, and is run as a whole below."""


def checked(name: str, check: Callable[[Settings], list[Check]], settings: Settings) -> list[Check]:
    """As doctor runs a check: what it raises is a finding too."""
    try:
        return check(settings)
    except PipelineError as error:
        return [failed(name, error)]


QUICK = (
    "the broker's host has no address",
    "another number of partitions is set",
    "a topic is missing",
    "the database's port is another",
    "a column is missing",
    "too few files may be open",
    "the endpoint has no such model",
)
"""What `make test` plants: one of each sort; `make test-all` every one."""


def of(name: str, found: list[Check]) -> list[Check]:
    return [one for one in found if one.name == name and not one.ok]


@pytest.mark.parametrize("fault", tiered(FAULTS, *QUICK))
def test_a_mistake_is_named_with_what_mends_it(planted: Planted, fault: str) -> None:
    plant, name, remedy = FAULTS[fault]
    plant(planted)
    found = CHECKS[name](planted.settings)

    wrong = of(name, found)
    assert wrong, [one for one in found if not one.ok]
    assert any(remedy in f"{one.remedy} {one.detail}" for one in wrong), wrong


def test_a_pipeline_without_a_mistake_is_well(planted: Planted) -> None:
    """Or each of the findings above would be there anyhow."""
    assert [one for one in examine(planted.settings) if not one.ok] == []


def test_doctor_changes_nothing_that_it_looks_at(planted: Planted, whole: Settings) -> None:
    def seen() -> tuple[Any, ...]:
        with opened(whole.clickhouse) as store:
            tables = store.query(
                "SELECT name, engine_full FROM system.tables WHERE database = 'test_faults' ORDER BY 1"
            )
        names = sorted(topics.topic_name(whole, topic) for topic in topics.TOPICS)
        client = kafka.admin(whole)
        groups = client.list_consumer_groups().result(patient(20)).valid
        ours = sorted(group.group_id for group in groups if whole.kafka.topic_prefix in group.group_id)
        return tables, kafka_logs.end_offsets(whole, names), ours

    before = seen()
    examine(planted.settings)
    assert seen() == before


def test_an_endpoint_that_lists_nothing_is_taken_at_its_word() -> None:
    [arm] = arms_of(RegimeSettings(base_url="http://here/v1", model="m"))
    assert endpoint_finding("http://here/v1", arm, ListAnswer(404)).ok
    assert endpoint_finding("http://here/v1", arm, ListAnswer(200)).ok
    assert endpoint_finding("http://here/v1", arm, ListAnswer(200, ("m",))).ok
    assert not endpoint_finding("http://here/v1", arm, ListAnswer(502)).ok


@pytest.mark.exhaustive
@pytest.mark.advice(
    "check {…}base_url, or take that model out of the settings",
    "check {…}base_url",
    "check {…}api_key_file",
    "set {…}model to one of its own: {…}",
)
@pytest.mark.parametrize("prefix", ["", "green_"], ids=["blue", "green"])
def test_what_is_said_of_an_endpoint_mends_it(tmp_path: Path, prefix: str) -> None:
    """Of either arm: while one of them is looked at, the other is well."""
    key = tmp_path / "key"
    key.write_text("right")
    with llm_server("good") as server:
        server.keys = {"right"}
        arm = {"base_url": server.url, "model": "m", "api_key": SecretStr("right"), "api_key_file": key}
        both = {**arm, **{f"green_{name}": value for name, value in arm.items()}, "rollout": True}
        well = RegimeSettings(**both)  # type: ignore[arg-type] # settings by their names

        def finds(sentence: str, **changes: object) -> str:
            changed = {prefix + name: value for name, value in changes.items()}
            [found] = [one for one in endpoint_checks(well.model_copy(update=changed)) if not one.ok]
            assert found.name == ("model endpoint green" if prefix else "model endpoint")
            return advice_in(found.remedy, sentence.replace("{…}", f"regimes.{prefix}", 1))

        finds(
            "check {…}base_url, or take that model out of the settings", base_url=f"http://127.0.0.1:{free_port()}/v1"
        )
        assert endpoint_checks(RegimeSettings()) == []
        assert [one.name for one in endpoint_checks(well)] == ["model endpoint", "model endpoint green"]
        finds("check {…}api_key_file", api_key=SecretStr("wrong"))
        named = finds("set {…}model to one of its own: {…}", model="o").rpartition(": ")[2].split(", ")
        for model in named:
            for _ in range(TIMES):
                assert all(one.ok for one in endpoint_checks(well.model_copy(update={f"{prefix}model": model})))


def test_doctor_tells_of_each_arm_its_key_by_its_mark_alone_and_its_prices() -> None:
    with llm_server("good") as server:
        server.keys = {"right"}
        arm = {"base_url": server.url, "model": "m", "api_key": SecretStr("right")}
        both = {**arm, **{f"green_{name}": value for name, value in arm.items()}, "rollout": True}
        priced = {"green_input_price": 0.25, "green_cached_input_price": 0.05, "green_output_price": 2.0}
        blue, green = endpoint_checks(RegimeSettings(**both, **priced))  # type: ignore[arg-type] # settings by their names

    assert blue.detail.endswith("has m; key 27042f4e; no prices, so that nothing is known of what it costs")
    assert green.detail.endswith("key 27042f4e; 0.25 USD a million tokens in (0.05 of what it had kept), 2 out")
    assert "right" not in blue.detail + green.detail


def test_an_endpoint_that_fails_is_told_by_its_status() -> None:
    with llm_server("good") as server:
        server.list_status = 500
        [found] = endpoint_checks(RegimeSettings(base_url=server.url, model="m"))
        assert (found.ok, found.remedy) == (False, "check regimes.base_url")
        server.list_status = 200
        [found] = endpoint_checks(RegimeSettings(base_url=server.url, model="m"))
        assert found.ok


def test_the_list_for_operators_has_exactly_these_faults() -> None:
    listed = re.findall(r"^\| (.+?) \| `(.+?)` \|", LIST.read_text("utf-8"), re.M)

    assert dict(listed) == {fault: name for fault, (_, name, _) in FAULTS.items()}
    assert len(FAULTS) >= 25
