"""Groups of neighbouring requests of one instrument, whose responses are verified together."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from deribit_pipeline.datasets.candles.cross_checking import CoarseCandles, CrossChecks, comparison
from deribit_pipeline.datasets.candles.fetch import ChartFetcher
from deribit_pipeline.datasets.candles.pages import Page, agreement
from deribit_pipeline.datasets.candles.requests import ChartRequest
from deribit_pipeline.domain.candles import Candles
from deribit_pipeline.domain.windows import TimeWindow
from deribit_pipeline.engine.agreement import Claim
from deribit_pipeline.engine.trusted_pages import Unproved, pages_of, unproved_of

# How many responses are compared with each other before any is trusted: enough to identify one or
# two wrong ones, few enough to keep memory small, 3 MB a group.
_MOST_REQUESTS = 10


@dataclass(slots=True, eq=False)
class RequestGroup:
    """Neighbouring requests of one instrument, and their pages so far.

    `coarse` are the instrument's coarser candles. `held` are the stored candles around the start of
    the group; `awaited` counts the requests without a response.
    """

    requests: Sequence[ChartRequest]
    coarse: CoarseCandles
    held: Candles = field(default_factory=Candles.none)
    awaited: int = field(init=False)
    pieces: list[Page | Unproved] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.awaited = len(self.requests)

    @property
    def instrument_name(self) -> str:
        return self.requests[0].instrument.instrument_name

    async def trusted(
        self, fetcher: ChartFetcher, checks: CrossChecks, *, each_twice: bool
    ) -> list[Page | Unproved]:
        """The pages that all responses together prove, and the unproved windows."""
        pieces, self.pieces = self.pieces, []  # the plan outlives the group
        first, last = self.requests[0], self.requests[-1]
        window = TimeWindow(first.window.start, last.window.end)
        others = await checks.coarse(self.coarse, fetcher, window)

        def agrees(page: Page) -> bool | None:
            is_as_held = agreement(page.returned, self.held)
            found = comparison(first, page, others)
            if is_as_held is False or found.disagreements:
                return False
            is_all_compared = len(found.agreeing) == len(page.candles) > 0
            return True if is_as_held or is_all_compared else None

        claims = [
            # A page filled in by a recheck has the support of that recheck.
            Claim(page, 2 if page.is_supported else 1, functools.cache(agrees))
            for page in pages_of(pieces)
        ]
        proved: list[Page | Unproved] = [*unproved_of(pieces)]
        for piece in await fetcher.agreed(first, claims, each_twice=each_twice):
            if isinstance(piece, Unproved):
                proved.append(piece)
            else:
                request = first.within(piece.window)
                proved += await checks.checked(fetcher, request, piece, self.coarse)
        return proved


def request_groups(planned: Sequence[ChartRequest]) -> list[RequestGroup]:
    """An instrument's requests, sorted by time, in groups of about the same size."""
    coarse = CoarseCandles(planned)
    count = -(-len(planned) // _MOST_REQUESTS)
    ends = [number * len(planned) // count for number in range(count + 1)] if count else []
    return [RequestGroup(planned[start:end], coarse) for start, end in pairwise(ends)]
