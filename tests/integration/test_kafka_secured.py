"""A broker with TLS and logins: every client gets in by the same settings, and each refusal is one sentence."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from confluent_kafka import Consumer

from obflow import broker_entry, kafka, kafka_logs, topics
from obflow.broker_checks import broker_checks
from obflow.broker_probe import Offer, of_login
from obflow.clickhouse import connect
from obflow.findings import Check
from obflow.settings import ClickHouseSettings, Settings
from schemas.errors import SettingsError
from schemas.topics import L2
from tests.integration.made_tables import make_tables
from tests.integration.processing import FactorLog, interleaved, publish, until
from tests.integration.securing import PASSWORD, USER, WRONG, Role, Secured, secured_broker
from tests.integration.test_processor import Expected, assert_whole, streams_of
from tests.support.certificates import EXPIRED
from tests.support.patience import patient
from tests.support.tls_front import tls_front

pytestmark = pytest.mark.integration

WAYS = [("sasl_ssl", "SCRAM-SHA-512"), ("sasl_ssl", "SCRAM-SHA-256"), ("sasl_plaintext", "PLAIN"), ("ssl", "")]
ROLES = ["produce binance-futures --symbol BTCUSDT", "process", "sink"]
WORKING = {
    "processor.session_timeout_seconds": 3.0,
    "processor.heartbeat_seconds": 1.0,
    "processor.checkpoint_seconds": 1.0,
}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured_broker(tmp_path_factory.mktemp("secured")) as started:
        yield started


@pytest.fixture(autouse=True)
def _look_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """On loopback nobody takes as long as over a network."""
    monkeypatch.setattr(broker_entry, "FIRST_LOOK_SECONDS", 0.2)


def pipeline(secured: Secured, protocol: str, mechanism: str) -> dict[str, object]:
    """What has to be set for a pipeline of its own, its topics created."""
    given = secured.reach(protocol, mechanism) | {
        "kafka.topic_prefix": f"{uuid.uuid4().hex[:8]}.",
        "kafka.partitions": 2,
    }
    topics.apply(Settings.load(given))
    return given


def by_the_plain_listener(secured: Secured, given: dict[str, object]) -> Settings:
    """The same topics, for judges that know no TLS."""
    kept = {key: given[key] for key in ("kafka.topic_prefix", "kafka.partitions")}
    return Settings.load({"kafka.bootstrap_servers": secured.broker.bootstrap, **kept})


@pytest.mark.parametrize(("protocol", "mechanism"), WAYS)
def test_records_go_in_and_come_out_by_every_way_in(secured: Secured, protocol: str, mechanism: str) -> None:
    settings = Settings.load(pipeline(secured, protocol, mechanism))
    publish(settings, interleaved(streams_of(seed=11, instruments=2, records=10)))
    with closing(kafka.consumer(settings, "readers")) as consumer:
        consumer.subscribe([topics.topic_name(settings, L2)])
        assert len(read(consumer, 20)) == 20


def read(consumer: Consumer, count: int) -> list[bytes]:
    found: list[bytes] = []
    deadline = time.monotonic() + patient(20)
    while len(found) < count and time.monotonic() < deadline:
        found += [message.value() for message in consumer.consume(count, 0.2) if message.error() is None]
    return found


@pytest.mark.exhaustive
def test_workers_make_the_same_factors_by_every_way_in(secured: Secured, tmp_path: Path) -> None:
    records = streams_of(seed=12, instruments=2, records=30)
    expected = Expected(records)
    ways = [pipeline(secured, *way) for way in WAYS[1:]]  # the first way is the whole pipeline's
    with ExitStack() as stack:
        for number, given in enumerate(ways):
            publish(Settings.load(given), interleaved(records))
            role = Role(["process"], given | WORKING, tmp_path / f"{number}.toml")
            stack.callback(role.end)
        for given in ways:
            judge = by_the_plain_listener(secured, given)
            factors = FactorLog(judge)
            until(lambda: factors.read().distinct == expected.events, patient(40), role.said)  # noqa: B023
            assert_whole(factors, expected)


def test_a_pipeline_works_through_tls_and_logins_alone(
    secured: Secured, clickhouse: ClickHouseSettings, tmp_path: Path
) -> None:
    records = streams_of(seed=13, instruments=2, records=30)
    with tls_front(clickhouse.port, secured.authority.issue("engine")) as port:
        given = pipeline(secured, "sasl_ssl", "SCRAM-SHA-512") | store(clickhouse) | by_https(port, secured)
        made = Settings.load(given).clickhouse
        make_tables(made)
        publish(Settings.load(given), interleaved(records))
        with ExitStack() as stack:
            for words in ("process", "sink"):
                role = Role([words], given | WORKING | {"sink.flush_seconds": 0.1}, tmp_path / f"{words}.toml")
                stack.callback(role.end)
            events = Expected(records).events
            with closing(connect(made, readonly=True)) as client:
                until(lambda: client.command("SELECT count() FROM factors") == events, patient(40), role.said)
        words = ["query", "SELECT count() FROM factors"]
        assert Role(words, given, tmp_path / "query.toml").wait() == (0, f"count()\n{events}\n", [])


def store(clickhouse: ClickHouseSettings) -> dict[str, object]:
    """How the engine is reached."""
    return {
        "clickhouse.port": clickhouse.port,
        "clickhouse.password": clickhouse.password.get_secret_value(),
        "clickhouse.database": clickhouse.database,
    }


def by_https(port: int, secured: Secured) -> dict[str, object]:
    """How it is reached by a front with TLS."""
    ca = str(secured.authority.certificate)
    return {"clickhouse.port": port, "clickhouse.secure": True, "clickhouse.ca_file": ca}


@pytest.mark.exhaustive
def test_a_wrong_password_is_one_sentence_in_every_role_and_for_doctor(
    secured: Secured, clickhouse: ClickHouseSettings, tmp_path: Path
) -> None:
    given = secured.reach("sasl_ssl") | store(clickhouse) | {"kafka.sasl_password": WRONG}
    make_tables(Settings.load(given).clickhouse)
    started = [Role(words.split(), given, tmp_path / f"{words.split()[0]}.toml") for words in [*ROLES, "doctor"]]
    *ended, (doctor_code, looked, _) = (role.wait() for role in started)
    said = f"refuses the login of {USER} by SCRAM-SHA-512"
    for words, (code, _, sentences) in zip(ROLES, ended, strict=True):
        assert (code, len(sentences)) == (3, 1), words
        assert f"{said}: check kafka.sasl_username and kafka.sasl_password" in sentences[0]
        assert WRONG not in sentences[0]
    assert doctor_code == 1
    assert sum(said in line for line in looked.splitlines()) == 1


def found(settings: Settings) -> Check:
    """What doctor finds at the broker."""
    check, *_ = broker_checks(settings)
    return check


def mended(broken: Settings, cause: str, advice: str, *right: Settings) -> None:
    """What is said is this, and whoever does it gets in, again and again."""
    check = found(broken)
    assert not check.ok
    assert cause in check.detail
    assert check.remedy == advice
    for settings in [*right, *right]:
        assert found(settings).ok


@pytest.mark.advice("check kafka.sasl_username and kafka.sasl_password (or sasl_password_file)")
@pytest.mark.parametrize(("protocol", "mechanism"), [("sasl_ssl", "SCRAM-SHA-256"), ("sasl_plaintext", "PLAIN")])
def test_a_wrong_password_is_told(secured: Secured, protocol: str, mechanism: str, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n", "utf-8")
    mended(
        secured.settings(protocol, mechanism, sasl_password=WRONG),
        f"refuses the login of {USER} by {mechanism}",
        "check kafka.sasl_username and kafka.sasl_password (or sasl_password_file)",
        secured.settings(protocol, mechanism, sasl_password=None, sasl_password_file=str(file)),
    )


@pytest.mark.advice("set kafka.sasl_mechanism to one that it has")
def test_a_mechanism_that_it_has_not_is_told_with_those_that_it_has(secured: Secured) -> None:
    """The embedded broker has all that we have, so its offer is told as of one that has PLAIN alone."""
    offer = Offer(33, ("PLAIN",))
    error = of_login(offer, "the Kafka broker", secured.settings("sasl_ssl").kafka)
    assert error is not None
    assert str(error) == (
        "the Kafka broker has no login by SCRAM-SHA-512; it has PLAIN: set kafka.sasl_mechanism to one that it has"
    )
    for _ in range(2):
        assert found(secured.settings("sasl_ssl", "PLAIN")).ok


@pytest.mark.advice("set kafka.ssl_ca_file to the certificate of the authority that signed it")
def test_an_unknown_authority_is_told(secured: Secured) -> None:
    advice = "set kafka.ssl_ca_file to the certificate of the authority that signed it"
    cause, right = "no known authority signed its certificate", secured.settings("sasl_ssl")
    mended(secured.settings("sasl_ssl", ssl_ca_file=None), cause, advice)
    mended(secured.settings("sasl_ssl", ssl_ca_file=str(secured.stranger.certificate)), cause, advice, right)


@pytest.mark.advice(
    "name it in kafka.bootstrap_servers as its certificate does, or set kafka.ssl_check_hostname to false"
)
def test_a_certificate_for_another_host_is_told(secured: Secured) -> None:
    elsewhere = secured.broker.secured["SASL_SSL"].replace("127.0.0.1", "localhost")
    mended(
        secured.settings("sasl_ssl", bootstrap_servers=elsewhere),
        f"the Kafka broker at {elsewhere} is not trusted: its certificate is not for this host",
        "name it in kafka.bootstrap_servers as its certificate does, or set kafka.ssl_check_hostname to false",
        secured.settings("sasl_ssl"),
        secured.settings("sasl_ssl", bootstrap_servers=elsewhere, ssl_check_hostname=False),
    )


def test_a_certificate_that_has_expired_is_told(secured: Secured) -> None:
    old = secured.authority.issue("old", days=EXPIRED)
    with tls_front(int(secured.broker.bootstrap.rpartition(":")[2]), old) as port:
        check = found(secured.settings("sasl_ssl", bootstrap_servers=f"127.0.0.1:{port}"))
    assert check.detail == f"the Kafka broker at 127.0.0.1:{port} is not trusted: its certificate has expired"
    assert check.remedy == "renew its certificate, or set this machine's clock right"


@pytest.mark.advice("set kafka.ssl_certificate_file and kafka.ssl_key_file to what it accepts")
def test_a_broker_that_wants_a_certificate_of_the_client_is_told(secured: Secured) -> None:
    own = dict.fromkeys(("ssl_certificate_file", "ssl_key_file", "ssl_key_password"))
    foreign = secured.stranger.issue("foreign")
    files = {"ssl_certificate_file": str(foreign.certificate), "ssl_key_file": str(foreign.key)}
    cause, advice = (
        "does not let us in: after the handshake it ends the connection",
        "set kafka.ssl_certificate_file and kafka.ssl_key_file to what it accepts",
    )
    mended(secured.settings("ssl", **own), cause, advice)
    mended(secured.settings("ssl", **files, ssl_key_password=None), cause, advice, secured.settings("ssl"))


@pytest.mark.advice("set kafka.security_protocol to {…}, or kafka.bootstrap_servers to its port for TLS")
def test_tls_at_a_plain_port_is_told(secured: Secured) -> None:
    ports = secured.broker.secured
    mended(
        secured.settings("sasl_ssl", bootstrap_servers=ports["SASL_PLAINTEXT"]),
        "speaks no TLS, and security_protocol is sasl_ssl",
        "set kafka.security_protocol to sasl_plaintext, or kafka.bootstrap_servers to its port for TLS",
        secured.settings("sasl_plaintext"),
        secured.settings("sasl_ssl"),
    )


@pytest.mark.advice("set kafka.security_protocol to ssl or sasl_ssl")
def test_a_plain_client_at_a_port_for_tls_is_told(secured: Secured) -> None:
    advice = "set kafka.security_protocol to ssl or sasl_ssl"
    for protocol in ("ssl", "sasl_ssl"):
        address = secured.broker.secured[protocol.upper()]
        plain = Settings.load({"kafka.bootstrap_servers": address})
        cause = f"the Kafka broker at {address} speaks TLS alone"
        mended(plain, cause, advice, secured.settings(protocol))


@pytest.mark.advice(
    "set kafka.security_protocol to {…}, and kafka.sasl_mechanism, kafka.sasl_username and kafka.sasl_password"
)
def test_a_login_that_is_wanted_is_told(secured: Secured) -> None:
    advice = "and kafka.sasl_mechanism, kafka.sasl_username and kafka.sasl_password"
    plain = Settings.load({"kafka.bootstrap_servers": secured.broker.secured["SASL_PLAINTEXT"]})
    by_tls = secured.settings("ssl", bootstrap_servers=secured.broker.secured["SASL_SSL"])
    for settings, wanted in ((plain, "sasl_plaintext"), (by_tls, "sasl_ssl")):
        right = secured.settings(wanted)
        mended(settings, "wants a login (PLAIN", f"set kafka.security_protocol to {wanted}, {advice}", right)


@pytest.mark.advice(
    "set kafka.security_protocol to {…} and take out what is set of kafka.sasl_mechanism, kafka.sasl_username and "
    "kafka.sasl_password, or kafka.bootstrap_servers to its port for logins"
)
def test_a_login_that_nobody_asked_for_is_told(secured: Secured) -> None:
    mended(
        secured.settings("sasl_plaintext", bootstrap_servers=secured.broker.bootstrap),
        "has no login, and security_protocol is sasl_plaintext",
        "set kafka.security_protocol to plaintext and take out what is set of kafka.sasl_mechanism, "
        "kafka.sasl_username and kafka.sasl_password, or kafka.bootstrap_servers to its port for logins",
        Settings.load({"kafka.bootstrap_servers": secured.broker.bootstrap}),
        secured.settings("sasl_plaintext"),
    )


def test_options_of_librdkafka_reach_its_clients(secured: Secured) -> None:
    """Each holds its own part, so that none of them warns of an option of another kind."""
    settings = secured.settings("sasl_ssl", options={"client.id": "named", "batch.size": 9, "fetch.min.bytes": 1})
    assert found(settings).ok
    assert kafka_logs.committed_offsets(settings, "readers", []) == {}


def test_an_option_that_librdkafka_does_not_know_is_refused(secured: Secured) -> None:
    with pytest.raises(SettingsError, match=r'No such configuration property: "no\.such\.option"') as caught:
        kafka.require_broker(secured.settings("sasl_ssl", options={"no.such.option": "1"}))
    assert caught.value.exit_code == 2
