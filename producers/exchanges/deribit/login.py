"""Credentials of Deribit: what raw books and trades want since 2022.

1. `public/auth` with the client's id and secret, first on each connection, grants it a session for some time.
2. Before that ends, `public/auth` with the refresh token that came with it renews it on the same connection.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from producers.contract import Granted
from producers.exchanges.deribit.frames import IDS, kind_of, request
from producers.messages import Notice, NoticeKind

AUTH: Final = "public/auth"
MAX_TEXT: Final = 300
HEAD_BYTES: Final = 64
"""Within so many a notification says that it is one: it is not looked at further."""


class _DeribitGrant(msgspec.Struct):
    expires_in: Annotated[float, msgspec.Meta(gt=0)]
    refresh_token: str


class _DeribitRefusal(msgspec.Struct):
    code: int = 0
    message: str = ""


class _DeribitAuthAnswer(msgspec.Struct):
    id: int | str | None = None
    result: _DeribitGrant | None = None
    error: _DeribitRefusal | None = None


class _DeribitAnswerId(msgspec.Struct):
    id: int | str | None = None


_ID = msgspec.json.Decoder(_DeribitAnswerId)
_ANSWER = msgspec.json.Decoder(_DeribitAuthAnswer)


class DeribitLogin:
    """The login of a client; see `producers.contract.Login`.

    Args:
        client_id: Its id.
        client_secret: Its secret, which is shown nowhere.
    """

    settings = "deribit.client_id and deribit.client_secret_file"

    def __init__(self, client_id: str, client_secret: str) -> None:
        self._client_id = client_id
        self._client_secret = client_secret

    @property
    def begin(self) -> bytes:
        """Ask with the credentials themselves (step 1)."""
        named = {"client_id": self._client_id, "client_secret": self._client_secret}
        return request(AUTH, {"grant_type": "client_credentials", **named})

    def read(self, raw: bytes) -> Granted | Notice | str | None:
        """Read the answer to a login; of an unusable one say only that it is."""
        if b'"method"' in raw[:HEAD_BYTES]:
            return None
        try:
            if _ID.decode(raw).id != IDS[AUTH]:
                return None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        try:
            answer = _ANSWER.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return "an answer that cannot be read"
        if answer.result is None:
            error = answer.error or _DeribitRefusal()
            why, kind = f"{error.code} {error.message}"[:MAX_TEXT], kind_of(error.code)
            return why if kind is NoticeKind.REFUSED else Notice(kind, why)
        renewal = request(AUTH, {"grant_type": "refresh_token", "refresh_token": answer.result.refresh_token})
        return Granted(answer.result.expires_in, renewal)
