"""Why a broker that is there does not let these settings in: asked of the broker, in a few bytes of its protocol.

The client libraries only say that they were disconnected. Here each address is tried in the order of a connection (is
somebody there, the TLS handshake, the login that is offered), and the first thing that does not fit is told with the
setting to look at. Nothing secret is sent: whether the password is right, only a client can find out (`obflow.kafka`).
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from obflow import kafka_access
from obflow.settings import KafkaSettings
from obflow.tls import Problem, handshake_problem, speaks_tls
from schemas.errors import BrokerRefused

DEFAULT_PORT: Final = 9092
API_VERSIONS, SASL_HANDSHAKE = 18, 17
"""Kinds of requests that a broker answers before anybody has logged in."""
QUESTION: Final = 0x6F62
"""Number of a question, which its answer repeats."""
ACCEPTED, NO_LOGIN_HERE = 0, 34
ANY_MECHANISM: Final = "PLAIN"
MAX_ANSWER_BYTES: Final = 4096


class Offer(NamedTuple):
    """What a broker says to somebody who wants to log in.

    Attributes:
        error: Kafka's code; ACCEPTED where it takes the mechanism.
        mechanisms: Those that it has.
    """

    error: int
    mechanisms: tuple[str, ...]


def addresses(servers: str) -> list[tuple[str, int]]:
    """Host and port of each of `kafka.bootstrap_servers`, read as the library reads them."""
    found = []
    for server in servers.split(","):
        host, colon, port = server.strip().rpartition(":")
        if not colon or not port.isdecimal():
            host, port = server.strip(), str(DEFAULT_PORT)
        found.append((host.strip("[]"), int(port)))
    return found


def refusal(host: str, port: int, timeout_s: float) -> str:
    """Why nobody can be reached there; empty where somebody can."""
    try:
        socket.create_connection((host, port), timeout=timeout_s).close()
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    except socket.gaierror:
        return f"the name {host} is not known"
    except (OSError, OverflowError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


def why_refused(settings: KafkaSettings, timeout_s: float) -> BrokerRefused | None:
    """What keeps these settings out; None where nothing is found, or nobody is there.

    Args:
        settings: How the broker is to be reached.
        timeout_s: Longest wait for each answer.

    Raises:
        SettingsError: A file of theirs cannot be read.
    """
    context = kafka_access.tls_context(settings)
    for host, port in addresses(settings.bootstrap_servers):
        if refusal(host, port, timeout_s):
            continue
        where = f"the Kafka broker at {host}:{port}"
        if context is not None:
            hello = _request(API_VERSIONS, 0)
            problem = handshake_problem(host, port, context, timeout_s=timeout_s, hello=hello)
            found = problem and _of_handshake(problem, where, settings)
        else:
            found = _missing_tls(host, port, timeout_s, where)
        if found := found or of_login(_offer(host, port, context, settings, timeout_s), where, settings):
            return found
    return None


def _of_handshake(problem: Problem, where: str, settings: KafkaSettings) -> BrokerRefused:
    if problem is Problem.UNKNOWN_CA:
        step = "set kafka.ssl_ca_file to the certificate of the authority that signed it"
    elif problem is Problem.HOSTNAME:
        step = "name it in kafka.bootstrap_servers as its certificate does, or set kafka.ssl_check_hostname to false"
    elif problem is Problem.WANTS_CERTIFICATE:
        step = "set kafka.ssl_certificate_file and kafka.ssl_key_file to what it accepts"
    elif problem is Problem.NO_TLS:
        without = "sasl_plaintext" if settings.logs_in else "plaintext"
        step = f"set kafka.security_protocol to {without}, or kafka.bootstrap_servers to its port for TLS"
        return BrokerRefused(
            f"{where} speaks no TLS, and security_protocol is {settings.security_protocol}", next_step=step
        )
    else:
        step = "renew its certificate, or set this machine's clock right"
    how = "does not let us in" if problem is Problem.WANTS_CERTIFICATE else "is not trusted"
    return BrokerRefused(f"{where} {how}: {problem}", next_step=step)


def _missing_tls(host: str, port: int, timeout_s: float, where: str) -> BrokerRefused | None:
    if not speaks_tls(host, port, timeout_s):
        return None
    return BrokerRefused(f"{where} speaks TLS alone", next_step="set kafka.security_protocol to ssl or sasl_ssl")


def of_login(offer: Offer | None, where: str, settings: KafkaSettings) -> BrokerRefused | None:
    """What does not fit between the login that is offered and the settings; None where all does.

    Args:
        offer: What the broker said; None where it said nothing.
        where: The broker, for a sentence.
        settings: How it is to be reached.
    """
    if offer is None:
        return None
    if not settings.logs_in:
        return None if offer.error == NO_LOGIN_HERE else _login_wanted(offer, where, settings)
    if offer.error == NO_LOGIN_HERE:
        without = "ssl" if settings.uses_tls else "plaintext"
        return BrokerRefused(
            f"{where} has no login, and security_protocol is {settings.security_protocol}",
            next_step=f"set kafka.security_protocol to {without} and take out what is set of kafka.sasl_mechanism, "
            "kafka.sasl_username and kafka.sasl_password, or kafka.bootstrap_servers to its port for logins",
        )
    if offer.error != ACCEPTED:
        return BrokerRefused(
            f"{where} has no login by {settings.sasl_mechanism}; it has {', '.join(offer.mechanisms) or 'none'}",
            next_step="set kafka.sasl_mechanism to one that it has",
        )
    return None


def _login_wanted(offer: Offer, where: str, settings: KafkaSettings) -> BrokerRefused:
    wanted = "sasl_ssl" if settings.uses_tls else "sasl_plaintext"
    return BrokerRefused(
        f"{where} wants a login ({', '.join(offer.mechanisms)})",
        next_step=f"set kafka.security_protocol to {wanted}, and kafka.sasl_mechanism, kafka.sasl_username and "
        "kafka.sasl_password",
    )


def _offer(
    host: str, port: int, context: ssl.SSLContext | None, settings: KafkaSettings, timeout_s: float
) -> Offer | None:
    """Ask for a login; None where no answer comes that is one."""
    mechanism = (settings.sasl_mechanism or ANY_MECHANISM).encode()
    question = _request(SASL_HANDSHAKE, 1, struct.pack(">h", len(mechanism)) + mechanism)
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as plain:
            connection = plain if context is None else context.wrap_socket(plain, server_hostname=host)
            with connection:
                connection.sendall(question)
                answer = connection.recv(MAX_ANSWER_BYTES)
        return read_offer(answer)
    except (OSError, struct.error, ValueError):
        return None


def _request(kind: int, version: int, body: bytes = b"") -> bytes:
    client = b"obflow"
    request = struct.pack(">hhih", kind, version, QUESTION, len(client)) + client + body
    return struct.pack(">i", len(request)) + request


def read_offer(answer: bytes) -> Offer:
    """What an answer to SaslHandshake says: size, number of the question, error, names.

    Raises:
        ValueError: It is none: somebody else answers there, who speaks another language.
    """
    size, number, error, count = struct.unpack_from(">iihi", answer)
    if number != QUESTION or size != len(answer) - struct.calcsize(">i"):
        raise ValueError("not an answer to the question")
    return Offer(error, tuple(_names(answer, struct.calcsize(">iihi"), count)))


def _names(answer: bytes, at: int, count: int) -> Iterator[str]:
    for _ in range(count):
        (length,) = struct.unpack_from(">h", answer, at)
        (name,) = struct.unpack_from(f">{length}s", answer, at + 2)  # raises where it is cut short
        yield name.decode("ascii")
        at += 2 + length
