"""Certificates for tests: an authority of its own in a folder, and what it signs; all of it valid for two days."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final, NamedTuple

from tests.support.patience import patient

NEW_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
LOOPBACK: Final = "IP:127.0.0.1"
VALID_DAYS: Final = 2
EXPIRED: Final = -1


class Issued(NamedTuple):
    """What somebody shows: the certificate, its key, and both with the authority's certificate in one file."""

    certificate: Path
    key: Path
    whole: Path


class Authority:
    """Signs certificates.

    Args:
        folder: Where everything is written.
        name: Of the authority.
    """

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self.certificate, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        named = ["-subj", f"/CN={name}", "-days", str(VALID_DAYS)]
        _openssl("req", "-x509", *NEW_KEY, "-noenc", "-keyout", self._key, "-out", self.certificate, *named)

    def issue(self, name: str, *, host: str = LOOPBACK, days: int = VALID_DAYS, password: str = "") -> Issued:
        """Sign one for a host, such as `DNS:localhost`; EXPIRED where days are that, its key locked by a password."""
        paths = (self._folder / f"{name}.{ending}" for ending in ("pem", "key", "all.pem", "csr", "ext"))
        certificate, key, whole, asked, extension = paths
        extension.write_text(f"subjectAltName={host}\n", "utf-8")
        locked = ["-passout", f"pass:{password}"] if password else ["-noenc"]
        _openssl("req", *NEW_KEY, *locked, "-keyout", key, "-out", asked, "-subj", f"/CN={name}")
        signer = ["-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial"]
        _openssl("x509", "-req", "-in", asked, *signer, "-extfile", extension, "-days", days, "-out", certificate)
        whole.write_bytes(b"".join(path.read_bytes() for path in (key, certificate, self.certificate)))
        return Issued(certificate, key, whole)


def _openssl(*words: object) -> None:
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, timeout=patient(30))
    assert done.returncode == 0, done.stderr
