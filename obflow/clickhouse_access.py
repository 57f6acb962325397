"""How ClickHouse is reached by HTTPS: what its client is told, and why a server that is there does not let us in."""

from __future__ import annotations

import ssl
from typing import Any, Final

from obflow import tls
from obflow.settings import ClickHouseSettings
from obflow.tls import Problem
from schemas.errors import DependencyError

PROBE_SECONDS: Final = 3.0
PING: Final = b"GET /ping HTTP/1.0\r\n\r\n"


def tls_options(settings: ClickHouseSettings) -> dict[str, Any]:
    """What the client, and a pool of connections of it, are told of TLS; nothing where it is not used.

    Raises:
        SettingsError: A file cannot be read, or does not hold what it should.
    """
    if not settings.secure:
        return {}
    _context(settings)  # refuses, in words of ours, what the client would refuse in its own
    files = {
        "ca_cert": settings.ca_file,
        "client_cert": settings.certificate_file,
        "client_cert_key": settings.key_file,
    }
    return {"verify": settings.verify, **{name: str(path) for name, path in files.items() if path is not None}}


def why_refused(settings: ClickHouseSettings) -> DependencyError | None:
    """What of TLS keeps these settings out; None where nothing is found, or nobody is there.

    Args:
        settings: How ClickHouse is to be reached.
    """
    where, timeout_s = f"ClickHouse at {settings.host}:{settings.port}", min(PROBE_SECONDS, settings.timeout_seconds)
    if settings.secure:
        problem = tls.handshake_problem(
            settings.host, settings.port, _context(settings), timeout_s=timeout_s, hello=PING
        )
        return _of_handshake(problem, where) if problem is not None else None
    if tls.speaks_tls(settings.host, settings.port, timeout_s):
        return DependencyError(f"{where} speaks HTTPS alone", next_step="set clickhouse.secure to true")
    return None


def _of_handshake(problem: Problem, where: str) -> DependencyError:
    if problem is Problem.UNKNOWN_CA:
        step = "set clickhouse.ca_file to the certificate of the authority that signed it"
    elif problem is Problem.HOSTNAME:
        step = "name it in clickhouse.host as its certificate does, or set clickhouse.verify to false"
    elif problem is Problem.WANTS_CERTIFICATE:
        step = "set clickhouse.certificate_file and clickhouse.key_file to what it accepts"
    elif problem is Problem.NO_TLS:
        step = "set clickhouse.secure to false, or clickhouse.port to its port for HTTPS"
        return DependencyError(f"{where} speaks no TLS, and secure is true", next_step=step)
    else:
        step = "renew its certificate, or set this machine's clock right"
    how = "does not let us in" if problem is Problem.WANTS_CERTIFICATE else "is not trusted"
    return DependencyError(f"{where} {how}: {problem}", next_step=step)


def _context(settings: ClickHouseSettings) -> ssl.SSLContext:
    files = tls.Files(
        ("clickhouse.ca_file", settings.ca_file),
        ("clickhouse.certificate_file", settings.certificate_file),
        ("clickhouse.key_file", settings.key_file),
    )
    return tls.context_of(files, verify=settings.verify)
