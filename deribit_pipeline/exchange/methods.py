"""What a call of a method brings: its result, parsed, with the exchange's clock."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.exchange.envelope import Stamp
from deribit_pipeline.exchange.transport import MEBIBYTE

Parsed = TypeVar("Parsed")


@dataclass(frozen=True, slots=True)
class ParsedResponse(Generic[Parsed]):
    """What an answer says, and the exchange's clock when it was asked. `stamp` is the answer's:
    one that has another is no copy of it; None where it is made of several."""

    value: Parsed
    as_of: datetime
    stamp: Stamp | None = None


@dataclass(frozen=True, slots=True)
class LimitedMethod:
    """A method with limits of its own: a pool of the rate limit, of `per_second` calls after a
    burst of `burst`, and how long a response may take, as a multiple of the client's timeout, and
    how large it may be."""

    name: str
    pool: str
    per_second: float
    burst: int
    times_timeout: float = 1.0
    most_bytes: int = 32 * MEBIBYTE


def parsed(
    result: object, parser: Callable[[object], Parsed], method: str, **params: object
) -> Parsed:
    """What the parser makes of a result; its ValueError becomes DeribitBadPayload."""
    try:
        return parser(result)
    except ValueError as error:
        raise DeribitBadPayload(str(error), method=method, params=params) from error
