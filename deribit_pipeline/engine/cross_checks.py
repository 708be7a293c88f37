"""Rows that are inconsistent, or differ from their witness: requested again until two responses
agree on them."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from deribit_pipeline.domain.rows import Columns
from deribit_pipeline.domain.windows import Moments
from deribit_pipeline.engine.checked import Checked, checked
from deribit_pipeline.engine.grid_windows import Page
from deribit_pipeline.engine.trusted_pages import Unproved, pages_of, together
from deribit_pipeline.engine.votes import Votes
from deribit_pipeline.engine.window_pages import PageFetcher
from deribit_pipeline.engine.witness import Comparison, Disagreement, Witness
from deribit_pipeline.errors import DeribitBadPayload

logger = logging.getLogger(__name__)

# How many times rows are requested again: a response may fail, and a corrected row may reveal
# another error.
_ROUNDS = 6

# How many disagreements are confirmed before a witness that most rows disagree with is given up.
_SAMPLE = 5

Doubts = Sequence[Moments]
"""Rows to request again, by sampling grid."""


class CrossChecks:
    """The cross-checks of one series' rows, on one or several sampling grids. With `each_twice`,
    two responses for different windows must agree on every row."""

    def __init__(
        self,
        witness: Witness,
        fetchers: Sequence[PageFetcher],
        nothing: Columns,
        series: str,
        *,
        each_twice: bool = False,
    ) -> None:
        self._witness = witness
        self._fetchers = fetchers
        self._nothing = nothing
        self._series = series
        self._each_twice = each_twice
        self._given_up: set[str] = set()
        self._confirmed = Counter[str]()

    async def checked(self, trusted: Sequence[Sequence[Page | Unproved]]) -> Checked:
        """The pieces of each sampling grid after their rows were compared with the witnesses;
        impossible or disagreeing rows were requested again. Raises the DeribitError of a
        request."""
        votes = [
            Votes(fetcher.sampling_grid.at, pages_of(pieces), self._nothing)
            for fetcher, pieces in zip(self._fetchers, trusted, strict=True)
        ]
        if self._each_twice:
            await together(
                _each_again(fetcher, some, page)
                for fetcher, some, pieces in zip(self._fetchers, votes, trusted, strict=True)
                for page in pages_of(pieces)
                if not page.is_confirmed and len(page.moments)
            )
        await self._settle(votes, lambda: self._impossible(votes))
        for comparison in self._compared(votes):
            await self._try_out(votes, comparison)
        await self._settle(votes, lambda: self._disagreeing(votes))
        self._weigh_hints(votes)
        sampling_grids = [fetcher.sampling_grid for fetcher in self._fetchers]
        return checked(sampling_grids, votes, self._witness, frozenset(self._given_up))

    def _compared(self, votes: Sequence[Votes]) -> Sequence[Comparison]:
        return self._witness.compared([some.rows for some in votes])

    def _impossible(self, votes: Sequence[Votes]) -> Doubts:
        return [
            np.concatenate(
                [
                    some.malformed,
                    *(
                        some.rows[fetcher.sampling_grid.at][flags]
                        for flags in self._witness.impossible(some.rows).values()
                    ),
                ]
            )
            for some, fetcher in zip(votes, self._fetchers, strict=True)
        ]

    def _disagreeing(self, votes: Sequence[Votes]) -> Doubts:
        """Rows that are impossible, and those that disagree with a witness that was not given
        up."""
        found = [
            disagreement
            for comparison in self._compared(votes)
            if comparison.what not in self._given_up
            for disagreement in comparison.disagreements
        ]
        return [
            np.concatenate(parts)
            for parts in zip(self._impossible(votes), _rows_of(found, len(votes)), strict=True)
        ]

    async def _try_out(self, votes: Sequence[Votes], comparison: Comparison) -> None:
        """If most rows disagree with a witness, confirm a few first: if none of these changes, the
        witness is not a valid reference, and no more requests are made."""
        denied = comparison.disagreements
        if comparison.is_hint or comparison.what in self._given_up or len(denied) < _SAMPLE:
            return
        if not comparison.is_mostly_denied:
            return
        some = denied[:: len(denied) // _SAMPLE][:_SAMPLE]
        await self._settle(votes, lambda: _rows_of(some, len(votes)))
        still = {
            disagreement.moment
            for again in self._compared(votes)
            if again.what == comparison.what
            for disagreement in again.disagreements
        }
        has_new_rows = comparison.what not in self._given_up  # another span may have been faster
        if has_new_rows and still.issuperset(disagreement.moment for disagreement in some):
            self._given_up.add(comparison.what)
            logger.warning(
                "Of %s, most %s disagree, and further responses confirm them: such rows are "
                "stored with a verdict and not requested again",
                self._series,
                comparison.what,
            )

    def _weigh_hints(self, votes: Sequence[Votes]) -> None:
        """Give up a hint that was confirmed to be wrong often enough."""
        for comparison in self._compared(votes):
            if comparison.is_hint:
                self._confirmed[comparison.what] += len(comparison.disagreements)
                if self._confirmed[comparison.what] >= _SAMPLE:
                    self._given_up.add(comparison.what)

    async def _settle(self, votes: Sequence[Votes], unconfirmed: Callable[[], Doubts]) -> None:
        """Request rows again, each time in other windows, until each is confirmed or given up."""
        for reach in range(1, _ROUNDS + 1):
            undecided = [
                some.undecided(np.concatenate([moments, some.unshared]))
                for some, moments in zip(votes, unconfirmed(), strict=True)
            ]
            if not any(map(len, undecided)):
                return
            await together(
                _requested_again(fetcher, some, moments, reach)
                for fetcher, some, moments in zip(self._fetchers, votes, undecided, strict=True)
            )


async def _each_again(fetcher: PageFetcher, votes: Votes, page: Page) -> None:
    """Request all rows of a page once more, in a window with other bounds; rows that differ there
    are unconfirmed."""
    for window in fetcher.sampling_grid.again(page.window, 1):
        part = page.part(window)
        try:
            votes.compare(await fetcher.recheck(window, 1), part.moments)
        except DeribitBadPayload as error:
            logger.warning("%s; requesting the rows again in another window", error)
            votes.doubt(part.moments)


async def _requested_again(
    fetcher: PageFetcher, votes: Votes, moments: Moments, reach: int
) -> None:
    """Request these rows in other windows."""
    for window in fetcher.recheck_windows(moments):
        try:
            votes.add(await fetcher.recheck(window, reach), moments)
        except DeribitBadPayload as error:
            logger.warning("%s; requesting the rows again in another window", error)


def _rows_of(found: Sequence[Disagreement], sampling_grids: int) -> Doubts:
    """The rows that may be wrong according to these disagreements, by sampling grid."""
    nothing = np.empty(0, "datetime64[ms]")
    return [
        np.concatenate([nothing, *(disagreement.rows[number] for disagreement in found)])
        for number in range(sampling_grids)
    ]
