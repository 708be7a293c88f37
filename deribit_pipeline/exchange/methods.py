"""What the methods of every topic are made of: a call, parsed, with the exchange's clock."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.exchange.envelope import Stamp
from deribit_pipeline.exchange.rpc import Rpc

Parsed = TypeVar("Parsed")


@dataclass(frozen=True, slots=True)
class Told(Generic[Parsed]):
    """What an answer says, and the exchange's clock when it was asked. `stamp` is the answer's:
    one that has another is no copy of it; None where it is made of several."""

    said: Parsed
    as_of: datetime
    stamp: Stamp | None = None


class Methods:
    """The methods of one topic; DeribitClient has those of all."""

    def __init__(self, rpc: Rpc) -> None:
        self.rpc = rpc

    async def told(
        self, parser: Callable[[object], Parsed], method: str, **params: object
    ) -> Told[Parsed]:
        """Call a method and parse its result; parameters that are None are left out, as the
        exchange wants it. Raises a DeribitError."""
        given = {name: value for name, value in params.items() if value is not None}
        answer = await self.rpc.call(method, **given)
        said = parsed(answer.result, parser, method, **given)
        return Told(said, answer.as_of, answer.stamp)


def parsed(
    result: object, parser: Callable[[object], Parsed], method: str, **params: object
) -> Parsed:
    """What the parser makes of a result; its ValueError becomes DeribitBadPayload."""
    try:
        return parser(result)
    except ValueError as error:
        raise DeribitBadPayload(str(error), method=method, params=params) from error
