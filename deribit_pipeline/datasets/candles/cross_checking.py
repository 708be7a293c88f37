"""Cross-check candles with the exchange's coarser ones, and request doubtful ones again."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from deribit_pipeline.datasets.candles.calls import unexpected
from deribit_pipeline.datasets.candles.cross_check import (
    Comparison,
    are_impossible,
    compare,
    impossible_remarks,
    merged,
)
from deribit_pipeline.datasets.candles.fetch import ChartFetcher
from deribit_pipeline.datasets.candles.grid import life
from deribit_pipeline.datasets.candles.majority import majority
from deribit_pipeline.datasets.candles.pages import Page
from deribit_pipeline.datasets.candles.requests import (
    ChartRequest,
    coarse_requests,
    wider_requests,
)
from deribit_pipeline.domain.candles import Candles
from deribit_pipeline.domain.windows import Moments, TimeWindow, from_moment64, moment64
from deribit_pipeline.engine.settling import SETTLING
from deribit_pipeline.engine.trusted_pages import Unproved
from deribit_pipeline.errors import DeribitError

logger = logging.getLogger(__name__)

# How many further responses are requested until two agree on each doubtful candle.
_MOST_REPEATS = 4

# The cross-check is abandoned when this many pages, and more than half of all, disagree with the
# coarser candles although two responses confirm each candle: the coarser ones are then not
# aggregates of these candles.
_GIVEN_UP_AFTER = 3


class CoarseCandles:
    """The coarser candles of an instrument for all planned requests; each response is fetched once,
    when it is first needed. Empty if the resolution has no coarser one."""

    def __init__(self, planned: Sequence[ChartRequest]) -> None:
        self._requests = coarse_requests(planned)
        self._fetching = [asyncio.Lock() for _ in self._requests]
        self._fetched: dict[int, Candles] = {}

    async def over(self, fetcher: ChartFetcher, window: TimeWindow) -> Candles:
        """The coarser candles of a window, and of some time around it."""
        found = Candles.none()
        for number, request in enumerate(self._requests):
            if request.window.intersection(window):
                async with self._fetching[number]:
                    if number not in self._fetched:
                        self._fetched[number] = await _fetched(fetcher, [request])
                found = found.union(self._fetched[number])
        return found

    async def again(self, fetcher: ChartFetcher, windows: Sequence[TimeWindow]) -> Candles:
        """The candles of these windows in another response."""
        return await _fetched(fetcher, wider_requests(self._requests[0], windows, 1))


@dataclass(slots=True)
class CrossChecks:
    """The cross-checks of one backfill: `pages` were compared, of which `disagreed` differ from the
    coarser candles although two responses confirm them. `are_given_up` is true once most do."""

    pages: int = 0
    disagreed: int = 0
    are_given_up: bool = field(default=False, init=False)

    async def coarse(
        self, coarse: CoarseCandles, fetcher: ChartFetcher, window: TimeWindow
    ) -> Candles:
        """The coarser candles of a window; empty once the cross-check is abandoned."""
        return Candles.none() if self.are_given_up else await coarse.over(fetcher, window)

    async def checked(
        self, fetcher: ChartFetcher, request: ChartRequest, page: Page, coarse: CoarseCandles
    ) -> list[Page | Unproved]:
        """The page of a request, in pieces that cover it. Candles that are impossible, malformed or
        differ from the coarser one are kept, with a remark, if two responses agree on them;
        otherwise they are unproved."""
        others = await self.coarse(coarse, fetcher, page.window)
        found = comparison(request, page, others)
        if found.disagreements:  # the coarser candle may be the wrong one
            windows = [remark.window for remark in found.disagreements]
            others = others.union(await coarse.again(fetcher, windows))
            found = comparison(request, page, others)
        unconfirmed = _unconfirmed(request, page, found)
        self.pages += len(found.agreeing) > 0 or bool(found.disagreements)
        if not unconfirmed:
            return [replace(page, agreeing=found.agreeing)]
        try:
            page, unshared, repeats = await _settled(fetcher, request, page, unconfirmed)
        except DeribitError as raised:
            error = raised
            return _without(page, unconfirmed, lambda window: error)
        found = comparison(request, page, others)
        self._count(request, found)
        step = request.resolution.duration
        wrong = impossible_remarks(page.candles, step, may_be_negative=_may_be_negative(request))
        page = replace(page, agreeing=found.agreeing, remarks=(*found.disagreements, *wrong))
        return _without(
            page,
            merged(TimeWindow(at, at + step) for at in map(from_moment64, unshared)),
            lambda window: unexpected(
                request.within(window),
                f"no two of {repeats} responses share the candles from "
                f"{window.start:%Y-%m-%d %H:%M} on",
            ),
        )

    def _count(self, request: ChartRequest, found: Comparison) -> None:
        self.disagreed += bool(found.disagreements)
        is_most = 2 * self.disagreed > self.pages
        if self.disagreed < _GIVEN_UP_AFTER or not is_most or self.are_given_up:
            return
        self.are_given_up = True
        logger.warning(
            "%d of %d pages of %s candles differ from the exchange's coarser candles although two "
            "responses confirm them (%s): days are stored without this cross-check from here on",
            self.disagreed, self.pages, request.resolution.label, found.disagreements[0].what,
        )  # fmt: skip


def comparison(request: ChartRequest, page: Page, coarse: Candles) -> Comparison:
    """The candles of a page compared with the coarser ones."""
    listed = life(request.instrument, request.resolution)
    return compare(page.candles, request.resolution, listed, coarse)


async def _fetched(fetcher: ChartFetcher, requests: Iterable[ChartRequest]) -> Candles:
    found = Candles.none()
    try:
        for request in requests:
            for page in await fetcher.recheck(request):
                found = found.union(page.candles)
    except DeribitError as error:
        logger.warning("No coarser candles to compare with: %s", error)
    return found


def _may_be_negative(request: ChartRequest) -> bool:
    return request.instrument.kind.endswith("combo")


def _unconfirmed(request: ChartRequest, page: Page, found: Comparison) -> list[TimeWindow]:
    """The windows of candles that need a second response."""
    step = request.resolution.duration
    is_wrong = are_impossible(page.candles, may_be_negative=_may_be_negative(request))
    doubtful = np.concatenate((page.candles.opened_at[is_wrong], page.malformed))
    windows = [remark.window for remark in found.disagreements]
    windows += [TimeWindow(at, at + step) for at in map(from_moment64, doubtful)]
    shared = (window.intersection(page.window) for window in merged(windows))
    return [window for window in shared if window is not None]


async def _settled(
    fetcher: ChartFetcher, request: ChartRequest, page: Page, unconfirmed: Sequence[TimeWindow]
) -> tuple[Page, Moments, int]:
    """The page with those candles in the doubtful windows on which two responses agree, the opening
    times of candles on which no two agree, and the number of responses."""
    openings = page.present
    bounds = np.array([[moment64(w.start), moment64(w.end)] for w in unconfirmed])
    nearest = np.searchsorted(bounds[:, 0], openings, side="right") - 1
    openings = openings[(nearest >= 0) & (openings < bounds[nearest, 1])]
    responses = [page.candles]
    shared, unshared = Candles.none(), openings
    while len(unshared) and len(responses) <= _MOST_REPEATS:
        repeat = Candles.none()
        for recheck in wider_requests(request, unconfirmed, len(responses)):
            for part in await fetcher.recheck(recheck):
                repeat = repeat.union(part.candles)
        responses.append(repeat)
        shared, unshared = majority(responses, openings)
    kept = page.candles[~np.isin(page.candles.opened_at, openings)]
    settled = replace(page, candles=kept.union(shared), malformed=openings[:0])
    # A candle that has just closed counts as open as long as late trades change it.
    is_moving = unshared > moment64(page.as_of - SETTLING - request.resolution.duration)
    settled = replace(settled, unclosed=np.union1d(page.unclosed, unshared[is_moving]))
    return settled, unshared[~is_moving], len(responses)


def _without(
    page: Page, windows: Sequence[TimeWindow], error_of: Callable[[TimeWindow], DeribitError]
) -> list[Page | Unproved]:
    """The page split at the unproved windows, which are included."""
    pieces: list[Page | Unproved] = []
    start = page.window.start
    for window in windows:
        if start < window.start:
            pieces.append(page.part(TimeWindow(start, window.start)))
        pieces.append(Unproved(window, error_of(window)))
        start = window.end
    if start < page.window.end:
        pieces.append(page.part(TimeWindow(start, page.window.end)) if windows else page)
    return pieces
