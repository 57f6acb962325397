"""Credentials in addresses are shown to nobody."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ExchangeUnreachable, PipelineError
from schemas.masking import MASK, mask_credentials

SECRET = "hunter2"  # noqa: S105 (of a test)


@pytest.mark.parametrize(
    "text",
    [
        "http://user:hunter2@host/v1",
        "wss://hunter2@host:9443/stream",
        "https://:hunter2@host",
        "http://user:p@ss/hunter2@host:80/path",
        "http://user:hunter2%40@[::1]:8123",
        "user:hunter2@broker:9092",
        "a:9092,user:hunter2@b:9092,c:9092",
        "kafka://user:hunter2@b:9092,kafka://c:9092",
        "http://host/v1?api_key=hunter2",
        "http://host/v1?symbol=BTCUSDT&apikey=hunter2&limit=5",
        "https://host/v1?key=hunter2#top",
        "wss://host/ws?listenKey=hunter2",
        "https://host/v1?X-Amz-Signature=hunter2",
        "https://host/v1?access_token=hunter2",
        "https://host/v1#id_token=hunter2&state=1",
        "https://host/v1;jsessionid=hunter2",
        "https://host/v1?PASSWORD=hunter2",
        "https://host/v1?client_secret=hunter2",
        "https://host/v1?auth=hunter2",
        "cannot connect to 'http://user:hunter2@proxy:3128' (timed out), after http://hunter2:x@host?token=hunter2",
    ],
)
def test_a_credential_in_an_address_is_masked_wherever_it_stands(text: str) -> None:
    masked = mask_credentials(text)
    assert SECRET not in masked
    assert MASK in masked
    assert mask_credentials(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8000/v1",
        "wss://fstream.binance.com/public/stream",
        '{"stream":"btcusdt@depth@100ms","data":{}}',
        "127.0.0.1:9092,[::1]:9093",
        "/fapi/v1/depth?symbol=BTCUSDT&limit=1000",
        "binance-futures does not answer at http://host:80 (HTTP 418: {\"code\":-1003}): check the network",
    ],
)  # fmt: skip
def test_an_address_without_credentials_stays_as_it_is(text: str) -> None:
    assert mask_credentials(text) == text


@given(
    st.sampled_from(["http", "wss", "kafka"]),
    st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"], exclude_characters="\"'<>"), max_size=40),
)
def test_no_password_is_shown_whatever_signs_it_has(scheme: str, password: str) -> None:
    secret = f"zqx{password}zqx"
    assert "zqx" not in mask_credentials(f"no answer at {scheme}://user:{secret}@host:80/path (refused)")


@pytest.mark.parametrize("piece", ["://", "a:", "?key", "x=&", "user:pass@", "://a", "?;#&"])
def test_a_long_text_is_masked_in_no_time(piece: str) -> None:
    began = time.monotonic()
    mask_credentials(piece * (1_000_000 // len(piece)))
    assert time.monotonic() - began < 20.0


def test_an_error_names_addresses_without_their_credentials() -> None:
    address = f"http://user:{SECRET}@host"
    error = ExchangeUnreachable(f"no answer at {address}", next_step=f"look at {address}?token={SECRET}", url=address)

    assert isinstance(error, PipelineError)
    assert SECRET not in f"{error} {error!r} {error.cause} {error.next_step} {error.context} {error.args}"
    assert "host" in str(error)
