"""Neighbouring requests of one instrument: fetched one by one, believed together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from deribit_pipeline.domain import Candles
from deribit_pipeline.operations.believing import Unproved, pages_of, unproved_of
from deribit_pipeline.operations.fetch import ChartFetcher
from deribit_pipeline.planning.agreement import Claim
from deribit_pipeline.planning.pages import Page, agreement
from deribit_pipeline.planning.requests import ChartRequest

# So many answers are held against each other before any is believed: enough that one or two wrong
# ones stand out, few enough that memory stays small, 3 MB a block.
_MOST_REQUESTS = 10


@dataclass(slots=True, eq=False)
class Block:
    """Neighbouring requests of one instrument, and what has come of them so far.

    `held` is what the warehouse holds of the time where they begin; `awaited` counts the requests
    without an answer.
    """

    requests: Sequence[ChartRequest]
    held: Candles = field(default_factory=Candles.none)
    awaited: int = field(init=False)
    pieces: list[Page | Unproved] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.awaited = len(self.requests)

    @property
    def instrument_name(self) -> str:
        return self.requests[0].instrument.instrument_name

    async def believed(self, fetcher: ChartFetcher) -> list[Page | Unproved]:
        """What can be believed of all that came, and what cannot."""
        pieces, self.pieces = self.pieces, []  # the plan outlives the block
        claims = [
            # What another look brought, it said as well.
            Claim(page, 2 if page.is_supported else 1, self._is_as_held)
            for page in pages_of(pieces)
        ]
        return [*unproved_of(pieces), *await fetcher.agreed(self.requests[0], claims)]

    def _is_as_held(self, page: Page) -> bool | None:
        return agreement(page.told, self.held)


def blocks_of(planned: Sequence[ChartRequest]) -> list[Block]:
    """Requests of an instrument, in the order of time, in blocks of about the same size."""
    count = -(-len(planned) // _MOST_REQUESTS)
    ends = [number * len(planned) // count for number in range(count + 1)] if count else []
    return [Block(planned[start:end]) for start, end in pairwise(ends)]
