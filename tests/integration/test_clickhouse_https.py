"""ClickHouse by HTTPS: the engine behind a front with TLS, and what is said where the two do not come together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import SecretStr

from obflow.clickhouse import connect
from obflow.inserts import insert_arrow
from obflow.settings import ClickHouseSettings
from schemas.errors import DependencyError, SettingsError
from tests.integration.securing import Role
from tests.support.certificates import EXPIRED, Authority, Issued
from tests.support.tls_front import tls_front

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("https"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def shown(authority: Authority) -> Issued:
    return authority.issue("engine")


@pytest.fixture
def secure(clickhouse: ClickHouseSettings, authority: Authority, shown: Issued) -> Iterator[ClickHouseSettings]:
    """Settings that get in by the front."""
    with tls_front(clickhouse.port, shown) as port:
        yield changed(clickhouse, port=port, secure=True, ca_file=authority.certificate)


def changed(settings: ClickHouseSettings, **change: object) -> ClickHouseSettings:
    return ClickHouseSettings.model_validate(settings.model_dump() | change)


def refused(settings: ClickHouseSettings) -> DependencyError:
    with pytest.raises(DependencyError) as caught:
        connect(settings)
    assert caught.value.exit_code == 3
    return caught.value


def mended(broken: ClickHouseSettings, cause: str, advice: str, *right: ClickHouseSettings) -> None:
    """What is said is this, and whoever does it gets in, again and again."""
    error = refused(broken)
    assert cause in error.cause
    assert error.next_step == advice
    for settings in [*right, *right]:
        assert lets_in(settings)


def lets_in(settings: ClickHouseSettings) -> bool:
    with connect(settings) as client:
        return bool(client.command("SELECT 1") == 1)


def test_rows_go_in_and_come_out(secure: ClickHouseSettings) -> None:
    with connect(secure) as client:
        client.command("CREATE TABLE t (n UInt32) ENGINE = MergeTree ORDER BY n")
        insert_arrow(client, "t", pa.table({"n": pa.array(range(100_000), pa.uint32())}), token="one")  # noqa: S106
        assert client.command("SELECT sum(n) FROM t") == sum(range(100_000))


def test_a_wrong_password_is_told_as_without_tls(secure: ClickHouseSettings) -> None:
    error = refused(changed(secure, password=SecretStr("another")))
    assert "refuses the user default" in error.cause
    assert error.next_step.startswith("check clickhouse.user and clickhouse.password")


@pytest.mark.advice("set clickhouse.ca_file to the certificate of the authority that signed it")
def test_an_unknown_authority_is_told(secure: ClickHouseSettings, stranger: Authority) -> None:
    advice = "set clickhouse.ca_file to the certificate of the authority that signed it"
    cause = f"ClickHouse at 127.0.0.1:{secure.port} is not trusted: no known authority signed its certificate"
    mended(changed(secure, ca_file=None), cause, advice)
    mended(changed(secure, ca_file=stranger.certificate), cause, advice, secure)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")  # which is what the advice asks for
@pytest.mark.advice("name it in clickhouse.host as its certificate does, or set clickhouse.verify to false")
def test_a_certificate_for_another_host_is_told(secure: ClickHouseSettings) -> None:
    mended(
        changed(secure, host="localhost"),
        "its certificate is not for this host",
        "name it in clickhouse.host as its certificate does, or set clickhouse.verify to false",
        secure,
        changed(secure, host="localhost", verify=False, ca_file=None),
    )


def test_a_certificate_that_has_expired_is_told(clickhouse: ClickHouseSettings, authority: Authority) -> None:
    with tls_front(clickhouse.port, authority.issue("old", days=EXPIRED)) as port:
        error = refused(changed(clickhouse, port=port, secure=True, ca_file=authority.certificate))
    assert error.cause.endswith("is not trusted: its certificate has expired")


@pytest.mark.advice("set clickhouse.certificate_file and clickhouse.key_file to what it accepts")
def test_a_front_that_wants_a_certificate_of_the_client_is_told(
    clickhouse: ClickHouseSettings, authority: Authority, shown: Issued
) -> None:
    with tls_front(clickhouse.port, shown, clients=authority.certificate) as port:
        secure = changed(clickhouse, port=port, secure=True, ca_file=authority.certificate)
        own = authority.issue("client")
        mended(
            secure,
            "does not let us in: after the handshake it ends the connection",
            "set clickhouse.certificate_file and clickhouse.key_file to what it accepts",
            changed(secure, certificate_file=own.certificate, key_file=own.key),
        )


@pytest.mark.advice("set clickhouse.secure to false, or clickhouse.port to its port for HTTPS")
def test_https_at_a_plain_port_is_told(clickhouse: ClickHouseSettings, secure: ClickHouseSettings) -> None:
    mended(
        changed(clickhouse, secure=True),
        "speaks no TLS, and secure is true",
        "set clickhouse.secure to false, or clickhouse.port to its port for HTTPS",
        clickhouse,
        secure,
    )


@pytest.mark.advice("set clickhouse.secure to true")
def test_a_plain_client_at_a_port_for_https_is_told(secure: ClickHouseSettings) -> None:
    plain = changed(secure, secure=False, ca_file=None)
    mended(plain, "speaks HTTPS alone", "set clickhouse.secure to true", secure)


def test_the_query_command_says_it_in_one_sentence(secure: ClickHouseSettings, tmp_path: Path) -> None:
    given = {"clickhouse.port": secure.port, "clickhouse.secure": True, "clickhouse.password": "x"}
    code, out, sentences = Role(["query", "SELECT 1"], given, tmp_path / "query.toml").wait()
    assert (code, out) == (3, "")
    assert sentences == [
        f"obflow: ClickHouse at 127.0.0.1:{secure.port} is not trusted: no known authority signed its certificate: "
        "set clickhouse.ca_file to the certificate of the authority that signed it"
    ]


def test_a_file_that_is_not_there_is_refused_before_anything_is_sent(
    secure: ClickHouseSettings, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.pem of clickhouse\.ca_file cannot be read \(No such file"):
        connect(changed(secure, ca_file=tmp_path / "nowhere.pem"))
