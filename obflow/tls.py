"""TLS as the settings ask for it, for every client of ours, and why a handshake did not come about.

Three clients speak TLS: librdkafka has a way of its own, and is told the same files; aiokafka and ClickHouse's take the
context that is made here. Whoever could not connect asks `handshake_problem`, which tries with that context and names
what is wrong with the certificate in words: the clients' own errors differ, and say less.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from schemas.errors import SettingsError


class Files(NamedTuple):
    """What a client shows and trusts, with the names of its settings for sentences.

    Attributes:
        section: Of the settings, as `kafka`.
        ca: Setting and file of the authorities; without a file, the system's own.
        certificate: Setting and file of the client's certificate.
        key: Setting and file of its key.
        key_password: Password of the key.
    """

    ca: tuple[str, Path | None]
    certificate: tuple[str, Path | None]
    key: tuple[str, Path | None]
    key_password: str = ""


class Problem(StrEnum):
    """Why a handshake did not come about."""

    UNKNOWN_CA = "no known authority signed its certificate"
    HOSTNAME = "its certificate is not for this host"
    EXPIRED = "its certificate has expired"
    NOT_YET = "its certificate is not valid yet"
    CERTIFICATE = "its certificate is refused"
    NO_TLS = "it speaks no TLS"
    WANTS_CERTIFICATE = "after the handshake it ends the connection, as one does that wants another certificate of us"


# OpenSSL's codes of what its verification found (`man openssl-verification-options`).
VERIFICATION: Final[dict[int, Problem]] = {
    **dict.fromkeys((2, 18, 19, 20, 21, 24), Problem.UNKNOWN_CA),
    9: Problem.NOT_YET,
    10: Problem.EXPIRED,
    62: Problem.HOSTNAME,
    64: Problem.HOSTNAME,
}
ALERTS: Final = (
    "CERTIFICATE_REQUIRED",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNKNOWN_CA",
    "ALERT_CERTIFICATE",
    "HANDSHAKE_FAILURE",
)


def require_files(files: Files) -> None:
    """Make sure that every file named can be read. Raises SettingsError, which names the setting and the file."""
    for name, path in (files.ca, files.certificate, files.key):
        try:
            if path is not None:
                path.read_bytes()
        except OSError as error:
            raise SettingsError(
                f"the file {path} of {name} cannot be read ({error.strerror})",
                next_step="check the path and its permissions",
            ) from None


def context_of(files: Files, *, verify: bool = True, check_hostname: bool = True) -> ssl.SSLContext:
    """Make what a client's connections are opened with.

    Args:
        files: What is shown and trusted.
        verify: Whether an unknown certificate is refused.
        check_hostname: Whether one for another host is.

    Raises:
        SettingsError: A file cannot be read, or does not hold what it should.
    """
    require_files(files)
    with _refusing(*files.ca):
        context = ssl.create_default_context(cafile=files.ca[1])
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # librdkafka is not strict, and all clients trust the same
    context.check_hostname = verify and check_hostname
    if not verify:
        context.verify_mode = ssl.CERT_NONE
    name, certificate = files.certificate
    if certificate is not None:
        with _refusing(f"{name} and {files.key[0]}", certificate):
            # Without a password to give, OpenSSL would ask for one at the terminal.
            context.load_cert_chain(certificate, files.key[1], password=lambda: files.key_password)
    return context


@contextmanager
def _refusing(name: str, path: Path | None) -> Iterator[None]:
    try:
        yield
    except (ssl.SSLError, ValueError) as error:
        why = str(getattr(error, "reason", None) or "the password of the key is missing").replace("_", " ").lower()
        raise SettingsError(
            f"{path} of {name} cannot be used ({why})",
            next_step="it has to be PEM, the key that of the certificate, and the key's password right",
        ) from None


def handshake_problem(
    host: str, port: int, context: ssl.SSLContext, *, timeout_s: float, hello: bytes
) -> Problem | None:
    """Try a handshake, and say why it failed; None where it did not, or where nobody could be reached.

    Args:
        host: Where, and the name the certificate has to bear.
        port: Its port.
        context: From `context_of`.
        timeout_s: Longest wait.
        hello: Said afterwards, to be answered: only then does a server tell that it misses a certificate of ours.
    """
    try:
        with (
            socket.create_connection((host, port), timeout=timeout_s) as connection,
            context.wrap_socket(connection, server_hostname=host) as secured,
        ):
            return None if _answers(secured, hello) else Problem.WANTS_CERTIFICATE
    except ssl.SSLCertVerificationError as error:
        return VERIFICATION.get(error.verify_code, Problem.CERTIFICATE)
    except ssl.SSLError as error:
        return Problem.WANTS_CERTIFICATE if _is_alert(error) else Problem.NO_TLS
    except ConnectionResetError:  # what a server without TLS does with the first bytes of a handshake
        return Problem.NO_TLS
    except OSError:
        return None


def _answers(secured: ssl.SSLSocket, hello: bytes) -> bool:
    """Whether something comes back; what is only slow is taken for it."""
    try:
        secured.sendall(hello)
        return bool(secured.recv(1))
    except TimeoutError:
        return True
    except OSError:  # an alert, or no word
        return False


def speaks_tls(host: str, port: int, timeout_s: float) -> bool:
    """Whether who answers there answers a handshake, whatever its certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), timeout=timeout_s) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return True
    except ssl.SSLError as error:
        return _is_alert(error)
    except OSError:
        return False


def _is_alert(error: ssl.SSLError) -> bool:
    """Whether the other side said what it misses: then it speaks TLS."""
    return any(alert in str(error).upper().replace(" ", "_") for alert in ALERTS)
