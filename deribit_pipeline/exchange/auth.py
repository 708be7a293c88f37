"""The access token: fetched with client credentials, renewed in time, seen by nobody."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)

RENEW_AFTER = 0.8
"""The part of a token's life after which it is renewed; Deribit grants 900 s and more."""


SCOPE = "account:read trade:read"
"""What a token is asked for: the least that the account's history needs."""

_WRITES = re.compile(r"\b[a-z_]+:read_(?:write|trade)\b")


@dataclass(frozen=True, slots=True)
class Credentials:
    """An API key; neither half is in the repr."""

    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """What `public/auth` grants; `expires_in` is in seconds.

    `scope` is what the token may do, in the exchange's words: less than was asked for where the key
    has less, and more where the exchange did not listen. It is empty where nothing was said.
    """

    access_token: str = field(repr=False)
    expires_in: float
    scope: str = field(default="", repr=False)

    @property
    def writes(self) -> list[str]:
        """What the token may do beyond reading, such as `trade:read_write`."""
        return _WRITES.findall(self.scope)

    @property
    def lacks(self) -> list[str]:
        """What was asked for and not granted; nothing where the exchange did not say."""
        granted = re.sub(r":read_\w+", ":read", self.scope).split()
        return [part for part in SCOPE.split() if granted and part not in granted]


def warn_of_writes(token: Token) -> None:
    """Say where a token may do more than was asked for."""
    if token.writes:
        logger.warning(
            "The API key can do more than read (%s): use one with the scope %s alone",
            ", ".join(token.writes),
            SCOPE,
        )


class TokenKeeper:
    """Hands out one valid token to any number of requests in flight.

    `authenticate` asks the exchange for a new one. Renewing makes the former token invalid, so a
    request may find its own refused: it calls `forget` with it and asks for the next.
    """

    def __init__(
        self,
        authenticate: Callable[[], Awaitable[Token]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._authenticate = authenticate
        self._clock = clock
        self._lock = asyncio.Lock()
        self._current: Token | None = None
        self._renew_at = 0.0

    async def token(self) -> Token:
        """The current token, fetched first where there is none or it is about to run out."""
        async with self._lock:
            if self._current is None or self._clock() >= self._renew_at:
                asked_at = self._clock()
                self._current = await self._authenticate()
                self._renew_at = asked_at + self._current.expires_in * RENEW_AFTER
            return self._current

    def forget(self, refused: Token) -> None:
        """The exchange refused this token; a newer one is left alone."""
        if self._current is refused:
            self._current = None
