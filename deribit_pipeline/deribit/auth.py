"""The access token: fetched with client credentials, renewed in time, seen by nobody."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

RENEW_AFTER = 0.8
"""The part of a token's life after which it is renewed; Deribit grants 900 s and more."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An API key; neither half is in the repr."""

    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """What `public/auth` grants; `expires_in` is in seconds."""

    access_token: str = field(repr=False)
    expires_in: float


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
