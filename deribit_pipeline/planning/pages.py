"""One answer, counted against what was expected of it: a page, or an error."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from deribit_pipeline.domain import Candles, Moments, TimeWindow, moment64
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.planning.grid import grid_of, life
from deribit_pipeline.planning.requests import MOST_CANDLES, ChartRequest

# An answer that begins late may have been cut by a limit lower than the one we know. Below this
# many candles no exchange cuts, and what lacks is a gap.
_CUT_IS_UNLIKELY = 500


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """What is known of the candles that open in `window`, as of one moment of the exchange.

    `candles` are the closed ones, in order. `missing` opened, are closed, and were not in the
    answer. `unclosed` are expected and not over yet.
    """

    window: TimeWindow
    candles: Candles
    missing: Moments
    unclosed: Moments
    as_of: datetime

    def part(self, window: TimeWindow) -> "Page":
        """What the page says of a window within its own."""
        start, end = moment64(window.start), moment64(window.end)

        def within(moments: Moments) -> slice:
            return slice(*np.searchsorted(moments, [start, end]))

        return Page(
            window,
            self.candles[within(self.candles.opened_at)],
            self.missing[within(self.missing)],
            self.unclosed[within(self.unclosed)],
            self.as_of,
        )

    def confirmed_by(self, second_looks: list["Page"]) -> "Page":
        """The page after asking again for what it lacked: some may have come after all."""
        candles, missing = self.candles, self.missing
        for look in second_looks:
            found = look.candles[np.isin(look.candles.opened_at, missing)]
            candles = candles.union(found)
            missing = missing[~np.isin(missing, found.opened_at)]
        return Page(self.window, candles, missing, self.unclosed, self.as_of)


def read_page(request: ChartRequest, candles: Candles, as_of: datetime) -> Page:
    """Count the candles of an answer. `as_of` is the exchange's clock when the answer left.

    Raises DeribitBadPayload for an answer that breaks an expectation: more candles than fit in
    one, candles repeated or not in order, off the grid, from the future, or beginning late.
    """

    def odd(what: str) -> DeribitBadPayload:
        return DeribitBadPayload(
            what,
            method="candles",
            params={
                "instrument_name": request.instrument.instrument_name,
                "resolution": request.resolution.value,
                "window": request.window,
            },
        )

    opened_at = candles.opened_at
    if len(candles) > MOST_CANDLES:
        raise odd(f"{len(candles)} candles came, a sign that older ones were dropped")
    if np.any(np.diff(opened_at) <= np.timedelta64(0)):
        raise odd("candles were repeated or not in the order of time")
    if len(candles) and opened_at[-1] > moment64(as_of):
        raise odd(f"a candle opens at {opened_at[-1]}, after the answer left at {as_of}")
    grid = grid_of(request.resolution, opened_at)
    if not grid.has(opened_at):
        raise odd(f"candles did not open every {request.resolution.duration}")

    listed = request.window.intersection(life(request.instrument, request.resolution))
    expected = grid.openings(listed) if listed else opened_at[:0]
    step = np.timedelta64(request.resolution.duration, "ms")
    # Compared in microseconds: the clock's own unit, in which a candle is over or is not.
    is_closed = (expected + step).astype("datetime64[us]") <= np.datetime64(
        as_of.replace(tzinfo=None), "us"
    )
    closed, unclosed = expected[is_closed], expected[~is_closed]
    kept = candles[np.isin(opened_at, closed)]
    missing = closed[~np.isin(closed, opened_at)]

    begins_late = len(missing) and len(kept) and missing[0] < kept.opened_at[0]
    if begins_late and len(expected) > _CUT_IS_UNLIKELY:
        raise odd(f"the answer begins at {kept.opened_at[0]}, not at {closed[0]} as asked")
    return Page(request.window, kept, missing, unclosed, as_of)
