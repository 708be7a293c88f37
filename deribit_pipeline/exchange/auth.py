"""OAuth access tokens: fetched with client credentials, renewed before they expire, never
logged."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)

RENEW_AFTER = 0.8
"""The fraction of a token's lifetime after which it is renewed; Deribit grants 900 s or more."""


SCOPE = "account:read trade:read"
"""The scope requested for a token: the minimum that reading the account's history needs."""

_WRITES = re.compile(r"\b[a-z_]+:read_(?:write|trade)\b")


@dataclass(frozen=True, slots=True)
class Credentials:
    """An API key; neither half is in the repr."""

    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """The result of `public/auth`; `expires_in` is in seconds.

    `scope` is the granted scope as the exchange returned it: narrower than `SCOPE` if the key has
    fewer permissions, or wider if the exchange ignored the requested scope. It is empty if the
    response has none.
    """

    access_token: str = field(repr=False)
    expires_in: float
    scope: str = field(default="", repr=False)

    @property
    def writes(self) -> list[str]:
        """Permissions beyond reading in the granted scope, such as `trade:read_write`."""
        return _WRITES.findall(self.scope)

    @property
    def missing_scopes(self) -> list[str]:
        """Requested scopes that were not granted; empty if the response states no scope."""
        granted = re.sub(r":read_\w+", ":read", self.scope).split()
        return [part for part in SCOPE.split() if granted and part not in granted]


def warn_of_writes(token: Token) -> None:
    """Log a warning if a token grants more than read access."""
    if token.writes:
        logger.warning(
            "The API key can do more than read (%s): use a key with the scope %s only",
            ", ".join(token.writes),
            SCOPE,
        )


class TokenKeeper:
    """Provides one valid token to any number of concurrent requests.

    `authenticate` fetches a new token. Renewing invalidates the previous token, so a request may be
    refused with a token that has just been replaced: call `forget` with the refused token, then
    `token` again.
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
        """The current token; fetched first if there is none or it is about to expire."""
        async with self._lock:
            if self._current is None or self._clock() >= self._renew_at:
                requested_at = self._clock()
                self._current = await self._authenticate()
                self._renew_at = requested_at + self._current.expires_in * RENEW_AFTER
            return self._current

    def discard(self, refused: Token) -> None:
        """Discard a token that the exchange refused; a newer token is kept."""
        if self._current is refused:
            self._current = None
