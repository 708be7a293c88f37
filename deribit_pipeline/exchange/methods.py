"""The result of a method call, parsed, with the exchange's clock."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.exchange.envelope import Stamp
from deribit_pipeline.exchange.transport import MEBIBYTE, Decode

Parsed = TypeVar("Parsed")


@dataclass(frozen=True, slots=True)
class ParsedResponse(Generic[Parsed]):
    """A parsed response, and the exchange's clock when the request arrived. `stamp` is that of the
    response: two responses with different stamps are not copies; None if it combines several
    responses."""

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


@dataclass(frozen=True, slots=True)
class DecodedMethod:
    """A method whose result has thousands of rows, and how to decode it: see `typed_results`."""

    name: str
    decode: Decode


def parsed(
    result: object, parser: Callable[[object], Parsed], method: str, **params: object
) -> Parsed:
    """Parses a result; its ValueError becomes DeribitBadPayload."""
    try:
        return parser(result)
    except ValueError as error:
        raise DeribitBadPayload(str(error), method=method, params=params) from error
