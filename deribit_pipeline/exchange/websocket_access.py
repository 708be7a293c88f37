"""What it takes to open the exchange's WebSockets."""

from dataclasses import dataclass

from deribit_pipeline.exchange.auth import Credentials
from deribit_pipeline.exchange.rate_limiter import RateLimiter
from deribit_pipeline.exchange.transport import Root

SUBSCRIBES_PER_SECOND, SUBSCRIBES_AT_ONCE = 3.3, 10
"""The limit of `public/subscribe`: 3,000 credits of a pool of 30,000
(assumption:socket-limits)."""


@dataclass(frozen=True, slots=True)
class WebSocketAccess:
    """What opens WebSockets: the address, the `testnet` flag that responses must have, an API key
    if there is one, and the rate limiter of subscriptions."""

    root: Root
    is_testnet: bool
    credentials: Credentials | None
    limiter: RateLimiter


@dataclass(frozen=True, slots=True)
class Times:
    """Durations in seconds: between two tests of a quiet socket, without any message until it is
    dead (assumption:socket-heartbeat), and without a response to a call."""

    heartbeat: float = 30.0
    silence: float = 45.0
    response: float = 30.0
