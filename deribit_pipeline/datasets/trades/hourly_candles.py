"""The trades of a day compared with the exchange's hourly candles, as an independent check.

In a response by numbers, everything but the numbers rests on that response alone. If an hour's
candle differs from its trades, the candles and the trades of that hour are requested again, in
other windows.
"""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.datasets.candles.calls import get_tradingview_chart_data
from deribit_pipeline.datasets.candles.pages import read_page
from deribit_pipeline.datasets.candles.requests import ChartRequest
from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.datasets.trades.chunks import NOT_SHARED, TradeChunks
from deribit_pipeline.datasets.trades.hosts import HINTS, TradeHosts
from deribit_pipeline.datasets.trades.hours import (
    WAYS,
    disagreeing,
    hour_of,
    hourly,
    kind_of,
    unknown_hours,
)
from deribit_pipeline.datasets.trades.plan import Span
from deribit_pipeline.datasets.trades.proof import CutDay, refused_error
from deribit_pipeline.datasets.trades.trade_numbers import Numbers, Refused
from deribit_pipeline.datasets.trades.values import VALUES, impossible, late_numbers
from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.proofs import CrossCheck
from deribit_pipeline.domain.rows import (
    Columns,
    Pieces,
    Rows,
    count_of,
    joined_rows,
    pieces_of,
    some_of,
)
from deribit_pipeline.domain.windows import TimeWindow, day_window, from_moment64, moment64
from deribit_pipeline.engine.merged_rows import merged
from deribit_pipeline.errors import DeribitBadPayload, DeribitRejected
from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.repeats import until_valid

logger = logging.getLogger(__name__)

# The hours of this many days are requested together: fewer than 5,000.
_TOGETHER = timedelta(days=200)

# How much further a second request for a day's candles extends on either side.
_WIDER = timedelta(hours=7)

# Trades of this many hours are requested again at a time.
_AT_ONCE = 6

# If this many hours, and most of those compared, differ although two responses agree on the trades,
# the exchange's candles are not the sum of its trades, and no further requests are made for the
# comparison.
_ENOUGH = 6


@dataclass(frozen=True, slots=True, eq=False)
class Witnessed:
    """A day and its comparison with hourly candles: AGREES if every hour with trades was compared.
    `verdict` describes confirmed differences; empty if there are none."""

    cut: CutDay
    cross_check: CrossCheck = CrossCheck.NONE
    verdict: str = ""


def chart_requests(first: date, last: date) -> int:
    """How many requests the hourly candles of the days take, both included."""
    return -(-(day_window(last).end - day_window(first).start) // _TOGETHER)


class Witness:
    """Compares the days of a contiguous span of an instrument's trades with its hourly candles.

    Hours that are not over by `known_until` are not compared.
    """

    def __init__(
        self,
        client: DeribitClient,
        hosts: TradeHosts,
        chunks: TradeChunks,
        instrument: Instrument,
        span: Span,
    ) -> None:
        self._client, self._hosts, self._chunks = client, hosts, chunks
        self._instrument, self._span = instrument, span
        self._kind = kind_of(instrument.instrument_name, instrument.kind)
        self._way = WAYS[0]
        self._published: tuple[TimeWindow, Candles] | None = None
        self._agreeing = self._confirmed = 0
        self._is_unusable = False

    async def beside(self, cut: CutDay) -> Witnessed:
        """The day with the result of its comparison; `error` is set if it is not proved. Raises
        DeribitError."""
        if cut.error is not None:
            return Witnessed(cut)
        if self._is_unusable:
            return Witnessed(cut, verdict="; ".join(self._marks(cut.rows)))
        published = self._comparable(cut, await self._candles(cut.day))
        differing = self._differing(cut.rows, published)
        if differing:
            published = await self._second_response(cut, published, differing)
            differing = self._differing(cut.rows, published)
        self._agreeing += len(published) - len(differing)
        checked: set[np.datetime64] = set()
        while batch := [hour for hour in differing if hour not in checked][:_AT_ONCE]:
            checked.update(batch)
            try:
                rows, left = await self._again(cut, batch)
                if len(left):
                    raise self._hosts.unproved(refused_error(Refused(left, NOT_SHARED)).reason)
            except DeribitBadPayload as error:
                return Witnessed(replace(cut, error=error))
            cut = replace(cut, rows=rows)
            self._learn(cut.rows, published, batch)
            differing = self._differing(cut.rows, published)
            self._confirmed += len([hour for hour in batch if hour in differing])
            if self._stops_paying():
                break
        checked.intersection_update(differing)
        verdict = [*_named(differing, len(published), len(checked)), *self._marks(cut.rows)]
        return Witnessed(cut, _cross_check(cut.rows, published, differing), "; ".join(verdict))

    def _stops_paying(self) -> bool:
        """Whether most hours differ from confirmed trades; logs that once."""
        self._is_unusable = self._confirmed >= _ENOUGH and self._confirmed > self._agreeing
        if self._is_unusable:
            logger.warning(
                "Most hourly candles of %s are not the sum of its trades, although two responses "
                "have the same trades: its days are no longer compared with them",
                self._instrument.instrument_name,
            )
        return self._is_unusable

    async def _candles(self, day: date) -> Candles:
        """The closed hourly candles around a day, if the exchange has any."""
        window = day_window(day)
        if self._published is None or self._published[0].intersection(window) != window:
            end = min(window.start + _TOGETHER, day_window(self._span.days[-1]).end)
            window = TimeWindow(window.start, max(end, window.end))
            self._published = window, await self._charted(window)
        return self._published[1]

    async def _charted(self, window: TimeWindow) -> Candles:
        request = ChartRequest(self._instrument, Resolution.HOUR_1, window)
        name = self._instrument.instrument_name

        async def chart() -> Candles:
            returned = await get_tradingview_chart_data(
                self._client, name, request.resolution, request.requested
            )
            return read_page(request, returned.candles, returned.as_of).candles

        try:
            return await until_valid(chart)
        except (DeribitBadPayload, DeribitRejected) as error:
            logger.info("The trades of %s have no candles to be compared with: %s", name, error)
            return Candles.none()

    def _comparable(self, cut: CutDay, published: Candles) -> Candles:
        """The hours of the day that are over and have no missing trades."""
        window = day_window(cut.day)
        end = (
            min(window.end, self._span.known_until)
            if cut.day == self._span.days[-1]
            else window.end
        )
        opened_at = published.opened_at
        is_over = opened_at + np.timedelta64(1, "h") <= moment64(end)
        is_known = ~np.isin(hour_of(opened_at), unknown_hours(cut.rows, cut.holes))
        if len(cut.holes) and not count_of(cut.rows):
            is_known[:] = False
        return published[(opened_at >= moment64(window.start)) & is_over & is_known]

    def _differing(self, rows: Rows, published: Candles) -> dict[np.datetime64, str]:
        return disagreeing(hourly(rows, self._kind, self._way), published)

    async def _second_response(
        self, cut: CutDay, published: Candles, differing: Collection[np.datetime64]
    ) -> Candles:
        """The candles, replaced by those of another response where that one matches the trades."""
        day = day_window(cut.day)
        again = await self._charted(TimeWindow(day.start - _WIDER, day.end + _WIDER))
        again = again[np.isin(again.opened_at, np.array(list(differing)))]
        still = np.array(list(self._differing(cut.rows, again)), "datetime64[ms]")
        return published.union(again[~np.isin(again.opened_at, still)])

    async def _again(
        self, cut: CutDay, hours: Sequence[np.datetime64]
    ) -> tuple[Rows, NDArray[np.int64]]:
        """The day's trades, with some hours as confirmed by two responses, and the numbers of
        trades on which no two agree."""
        rows, day = cut.rows, np.datetime64(cut.day)
        is_of_them = np.isin(hour_of(rows["traded_at"]), hour_of(np.array(hours)))
        numbers = rows["trade_seq"][is_of_them]
        first, others = _divided(rows, is_of_them)
        for hour in hours:  # trades that were assigned to another day are detected by their time
            if not np.any(hour_of(rows["traded_at"]) == hour_of(np.array([hour]))):
                start = from_moment64(hour)
                until = start + Resolution.HOUR_1.duration
                found = await self._hosts.first_from(start, self._span.as_of, until, 2 * HINTS)
                numbers = np.union1d(numbers, found["trade_seq"])
        if not len(numbers):
            return rows, numbers

        def is_of_interest(response: Columns) -> NDArray[np.bool_]:
            is_new = ~np.isin(response["trade_seq"], rows["trade_seq"])
            is_of_day = response["traded_at"].astype("datetime64[D]") == day
            requested: NDArray[np.bool_] = (
                np.isin(response["trade_seq"], numbers) | is_new & is_of_day
            )
            return requested

        shared, left = await self._chunks.agreed(first, numbers, is_of_interest)
        shared = some_of(shared, shared["traded_at"].astype("datetime64[D]") == day)
        return merged(TRADES, shared, others), left

    def _learn(self, rows: Rows, published: Candles, hours: Sequence[np.datetime64]) -> None:
        """Detect how the exchange counts, if another way of counting matches its candles with
        confirmed trades."""
        some = published[np.isin(published.opened_at, np.array(hours))]
        differing = {
            way: len(disagreeing(hourly(rows, self._kind, way), some)) for way in (self._way, *WAYS)
        }
        self._way = min(differing, key=lambda way: differing[way])

    def _marks(self, rows: Rows) -> Iterator[str]:
        """Impossible or out-of-order values in the rows."""
        for numbers, what in (
            (self._impossible(rows), "impossible values, confirmed by a second response,"),
            (late_numbers(rows), "times earlier than those of far lower numbers,"),
        ):
            if len(numbers):
                yield f"{what} of {len(numbers):,} trades: first {numbers[0]}"

    def _impossible(self, rows: Rows) -> Numbers:
        """The numbers of trades with impossible values."""
        is_combo = self._kind.is_combo
        return np.concatenate(
            [
                piece["trade_seq"][impossible(piece, is_combo=is_combo)]
                for piece in pieces_of(rows, "trade_seq", *VALUES)
            ]
        )


def _divided(rows: Rows, is_of_them: NDArray[np.bool_]) -> tuple[Columns, Rows]:
    """Some of the rows, and the others."""
    found, others, first = [], Pieces(), 0
    for piece in pieces_of(rows):
        which = is_of_them[first : first + count_of(piece)]
        found.append(some_of(piece, which))
        others.append(some_of(piece, ~which))
        first += len(which)
    return joined_rows(found), others.rows()


def _cross_check(
    rows: Rows, published: Candles, differing: Collection[np.datetime64]
) -> CrossCheck:
    if differing:
        return CrossCheck.DISAGREES
    hours = hour_of(published.opened_at)
    is_whole = all(
        np.isin(hour_of(piece["traded_at"]), hours).all() for piece in pieces_of(rows, "traded_at")
    )
    return CrossCheck.AGREES if is_whole and len(published) else CrossCheck.NONE


def _named(differing: Mapping[np.datetime64, str], compared: int, confirmed: int) -> list[str]:
    if not differing:
        return []
    hour, what = next(iter(differing.items()))
    return [
        f"differs from the exchange's candles in {len(differing)} of {compared} hours, of which "
        f"{confirmed} are confirmed by a second response: first {hour.item():%H:%M}, {what}"
    ]
