"""One response, counted against the expected candles: a page, or an error."""

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np

from deribit_pipeline.datasets.candles.cross_check import Remark
from deribit_pipeline.datasets.candles.grid import grid_of, life
from deribit_pipeline.datasets.candles.requests import MOST_CANDLES, ChartRequest
from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.windows import LATENCY, Moments, TimeWindow, moment64, without
from deribit_pipeline.engine.settling import SETTLING

logger = logging.getLogger(__name__)

# A response that begins late may have been truncated at a lower limit than the known one. If fewer
# candles than this are expected, truncation is unlikely, and missing candles are a gap.
_CUT_IS_UNLIKELY = 500

# The exchange may floor a start to the candle that contains it. Candles further outside the
# requested window belong to another request, whose response was returned instead.
_AROUND = 2

_NONE: Moments = np.empty(0, "datetime64[ms]")


class UnexpectedCandles(ValueError):
    """The candles of a response are not those of its request."""


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """What is known of the candles that open in `window`, as of one instant of the exchange.

    `expected` are all openings while the instrument is listed, counted on the grid and not from the
    returned candles. `unclosed` are those of candles that are not over yet. `candles` are the
    returned closed ones, sorted by time. `before` are returned candles just before the window,
    which the response for the previous window contains too. `is_supported` is true if another
    response agrees on some of the candles.

    `malformed` are the openings of closed candles whose values are not numbers, or that were
    returned with several different values. `agreeing` are those of candles that agree with the
    exchange's coarser candle, and `remarks` are the findings of a cross-check.
    """

    window: TimeWindow
    expected: Moments
    unclosed: Moments
    candles: Candles
    before: Candles
    as_of: datetime
    is_supported: bool = False
    malformed: Moments = field(default_factory=lambda: _NONE)
    agreeing: Moments = field(default_factory=lambda: _NONE)
    remarks: tuple[Remark, ...] = ()

    @property
    def moments(self) -> Moments:
        """When the candles open."""
        return self.candles.opened_at

    @property
    def present(self) -> Moments:
        """When the returned closed candles open, the malformed ones included."""
        return np.union1d(self.candles.opened_at, self.malformed)

    @property
    def returned(self) -> Candles:
        """Every returned closed candle, including those before the window."""
        return self.before.union(self.candles)

    @property
    def missing(self) -> Moments:
        """The openings of closed candles that were not returned."""
        absent = without(without(self.expected, self.candles.opened_at), self.unclosed)
        return without(absent, self.malformed)

    def part(self, window: TimeWindow) -> "Page":
        """The part of the page for a window within its own."""
        return next(self.parts([window]))

    def parts(self, windows: Sequence[TimeWindow]) -> Iterator["Page"]:
        """The parts of the page for windows within its own. Their bounds are searched for at once:
        each search lets other threads run, and a page may have parts by the thousand."""
        ends = [(moment64(window.start), moment64(window.end)) for window in windows]
        bounds = np.array(ends, "datetime64[ms]")

        def slices(moments: Moments) -> Iterator[slice]:
            return itertools.starmap(slice, moments.searchsorted(bounds).tolist())

        for window, expected, unclosed, candles, malformed, agreeing in zip(
            windows, slices(self.expected), slices(self.unclosed), slices(self.moments),
            slices(self.malformed), slices(self.agreeing), strict=True,
        ):  # fmt: skip
            yield Page(
                window,
                self.expected[expected],
                self.unclosed[unclosed],
                self.candles[candles],
                Candles.none(),
                self.as_of,
                malformed=self.malformed[malformed],
                agreeing=self.agreeing[agreeing],
                remarks=tuple(
                    remark
                    for remark in self.remarks
                    if remark.window.intersection(window) is not None
                ),
            )

    def with_found(self, recheck: "Page") -> "Page":
        """The page, with its missing candles filled in from a recheck that agrees with it. Those
        that are malformed there are malformed here too, and no gap."""
        found = recheck.candles[np.isin(recheck.candles.opened_at, self.missing)]
        malformed = np.intersect1d(recheck.malformed, self.missing, assume_unique=True)
        return replace(
            self,
            candles=self.candles.union(found),
            malformed=np.union1d(self.malformed, malformed),
            is_supported=True,
        )

    def is_contradicted_by(self, recheck: "Page") -> bool:
        """Whether candles of this page are missing from a recheck or have other values there: it
        then confirms nothing. A candle that is malformed in the recheck has no value there, which
        neither contradicts nor confirms it."""
        ours = self.part(recheck.window).candles
        lost = without(ours.opened_at, recheck.candles.opened_at)
        lost = without(without(lost, recheck.malformed), recheck.unclosed)
        return len(lost) > 0 or agreement(ours, recheck.candles) is False

    def reconciled(self, other: "Page", step: timedelta) -> "Page":
        """The page, in which a candle that has just closed counts as open if the other page has
        other values: late trades may still change it, which is no contradiction. A candle lasts
        `step`."""
        ours, theirs = in_common(self.candles, other.candles)
        differs = (ours.values != theirs.values).any(axis=1)
        settled = moment64(min(self.as_of, other.as_of) - SETTLING - step)
        moving = ours.opened_at[differs & (ours.opened_at > settled)]
        if not len(moving):
            return self
        return replace(
            self,
            candles=self.candles[~np.isin(self.candles.opened_at, moving)],
            unclosed=np.union1d(self.unclosed, moving),
        )

    def agrees_with_next(self, later: "Page") -> bool | None:
        """Whether the next page agrees on the candles that both have; None if they share none."""
        return agreement(self.candles, later.before)


def joined(pages: Sequence[Page]) -> Page:
    """Join pages with consecutive windows into one."""
    first, last = pages[0], pages[-1]
    return Page(
        TimeWindow(first.window.start, last.window.end),
        np.concatenate([page.expected for page in pages]),
        np.concatenate([page.unclosed for page in pages]),
        Candles(
            np.concatenate([page.candles.opened_at for page in pages]),
            np.concatenate([page.candles.values for page in pages]),
        ),
        first.before,
        min(page.as_of for page in pages),
        malformed=np.concatenate([page.malformed for page in pages]),
        agreeing=np.concatenate([page.agreeing for page in pages]),
        remarks=tuple(dict.fromkeys(remark for page in pages for remark in page.remarks)),
    )


def read_page(
    request: ChartRequest, candles: Candles, as_of: datetime, requested: TimeWindow | None = None
) -> Page:
    """Count the candles of a response. `as_of` is the exchange's time when it received the request:
    candles that were over then were over when the response was made. `requested` is the requested
    window, if it is not the request's own.

    Raises UnexpectedCandles for a response that violates an expectation: more candles than fit in
    one, unsorted candles, candles off the grid, from the future or from another window, or a late
    beginning.
    """
    if len(candles) > MOST_CANDLES:
        raise UnexpectedCandles(
            f"{len(candles)} candles were returned, a sign that older ones were dropped"
        )
    candles = _once(request, candles)
    opened_at = candles.opened_at
    _require_window(request, opened_at, requested or request.requested)
    if len(candles) and opened_at[-1] > moment64(as_of) + LATENCY:
        raise UnexpectedCandles(f"a candle opens at {opened_at[-1]}, but the time was {as_of}")
    grid = grid_of(request.resolution, opened_at)
    if grid is None:
        raise UnexpectedCandles("no candle was returned, so the grid of opening times is unknown")
    step = np.timedelta64(request.resolution.duration, "ms")
    if not grid.has(opened_at) or _is_of_another_resolution(opened_at, step):
        raise UnexpectedCandles(f"candles did not open every {request.resolution.duration}")

    window = request.window
    listed = window.intersection(life(request.instrument, request.resolution))
    expected = grid.openings(listed) if listed else opened_at[:0]
    # Compared in microseconds, the unit of the clock.
    now = moment64(as_of, "us")
    unclosed = expected[(expected + step).astype("datetime64[us]") > now]
    inside = (opened_at >= moment64(window.start)) & (opened_at < moment64(window.end))
    is_malformed = np.isnan(candles.values).any(axis=1)
    is_before = (opened_at < moment64(window.start)) & ((opened_at + step) <= now)
    if len(without(opened_at[inside], expected)):
        raise UnexpectedCandles("candles were returned for a time without a listing")
    is_closed = inside & ~np.isin(opened_at, unclosed)
    closed, before = candles[is_closed & ~is_malformed], candles[is_before & ~is_malformed]
    malformed = opened_at[is_closed & is_malformed]
    page = Page(window, expected, unclosed, closed, before, as_of, malformed=malformed)
    missing, moments = page.missing, page.candles.opened_at
    begins_late = len(missing) and len(moments) and missing[0] < moments[0]
    if begins_late and len(expected) > _CUT_IS_UNLIKELY:
        raise UnexpectedCandles(f"the response begins at {moments[0]}, not at {expected[0]}")
    return page


def _once(request: ChartRequest, candles: Candles) -> Candles:
    """The candles without duplicates: those returned twice with equal values are one, with a
    warning; one that was returned with several values is malformed."""
    apart = np.diff(candles.opened_at)
    if np.any(apart < np.timedelta64(0)):
        raise UnexpectedCandles("candles were not sorted by time")
    is_again = np.concatenate(([False], apart == np.timedelta64(0)))
    if not is_again.any():
        return candles
    again = candles.opened_at[is_again]
    is_other = is_again[1:] & (candles.values[1:] != candles.values[:-1]).any(axis=1)
    values = candles.values.copy()
    values[np.isin(candles.opened_at, candles.opened_at[1:][is_other])] = np.nan
    logger.warning(
        "%s: %d candles were returned more than once, the first at %s; %s",
        request.instrument.instrument_name, len(again), again[0],
        "some with several values" if is_other.any() else "each counts as one",
    )  # fmt: skip
    return Candles(candles.opened_at[~is_again], values[~is_again])


def _require_window(request: ChartRequest, opened_at: Moments, requested: TimeWindow) -> None:
    around = np.timedelta64(_AROUND * request.resolution.duration, "ms")
    start, end = moment64(requested.start) - around, moment64(requested.end) + around
    if len(opened_at) and (opened_at[0] < start or opened_at[-1] >= end):
        raise UnexpectedCandles(
            f"the response has candles from {opened_at[0]} to {opened_at[-1]}, which is another "
            f"window than the requested {requested}",
        )


def _is_of_another_resolution(opened_at: Moments, step: np.timedelta64) -> bool:
    """Whether the distance between candles is that of a longer resolution."""
    apart = np.diff(opened_at)
    if len(apart) < 2 or apart[0] <= step or np.any(apart != apart[0]):
        return False
    return apart[0].item() in {resolution.duration for resolution in Resolution}


def agreement(one: Candles, other: Candles) -> bool | None:
    """Whether both have equal values for the candles that they share; None if they share none."""
    ours, theirs = in_common(one, other)
    return bool((ours.values == theirs.values).all()) if len(ours) else None


def in_common(one: Candles, other: Candles) -> tuple[Candles, Candles]:
    """The candles that both have, from each, row by row."""
    if np.array_equal(one.opened_at, other.opened_at):
        return one, other
    _, ours, theirs = np.intersect1d(
        one.opened_at, other.opened_at, assume_unique=True, return_indices=True
    )
    return one[ours], other[theirs]
