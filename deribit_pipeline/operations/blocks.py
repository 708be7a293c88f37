"""Neighbouring requests of one instrument: fetched one by one, believed together."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

from deribit_pipeline.domain import Candles, Instrument, Resolution
from deribit_pipeline.operations.fetch import ChartFetcher, Unproved
from deribit_pipeline.planning.agreement import Claim
from deribit_pipeline.planning.pages import Page
from deribit_pipeline.planning.requests import ChartRequest, requests

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
        first = self.requests[0]
        claims = [
            Claim(first.within(piece.window), piece)
            for piece in self.pieces
            if isinstance(piece, Page)
        ]
        for claim in claims:
            claim.hold_against(self.held)
        unproved = [piece for piece in self.pieces if isinstance(piece, Unproved)]
        return unproved + await fetcher.agreed(claims)


def blocks(instrument: Instrument, resolution: Resolution, days: Iterable[date]) -> Iterator[Block]:
    """The requests that cover the days, in blocks of about the same size."""
    planned = requests(instrument, resolution, days)
    count = -(-len(planned) // _MOST_REQUESTS)
    for number in range(count):
        yield Block(planned[number * len(planned) // count : (number + 1) * len(planned) // count])
