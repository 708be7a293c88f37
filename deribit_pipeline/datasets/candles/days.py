"""Split pages of candles into UTC days."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta

from deribit_pipeline.datasets.candles.pages import Page, joined
from deribit_pipeline.datasets.candles.requests import expected_window
from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.proofs import CrossCheck, FetchedDay
from deribit_pipeline.domain.verdicts import verdict_of
from deribit_pipeline.domain.windows import ONE_DAY, TimeWindow, days_between


class Assembly:
    """Splits an instrument's pages by UTC day; a day is emitted when all of its parts are present.

    Pages may be added in any order, and may cover days that were not requested.
    """

    def __init__(
        self, instrument: Instrument, resolution: Resolution, days: Iterable[date]
    ) -> None:
        self._instrument_name = instrument.instrument_name
        self._parts: dict[date, list[Page]] = {}
        self._missing: dict[date, timedelta] = {}
        self._windows: dict[date, TimeWindow] = {}
        self.unlisted: list[date] = []
        for day in sorted(set(days)):
            window = expected_window(instrument, resolution, day)
            if window is None:
                self.unlisted.append(day)
            else:
                self._windows[day], self._missing[day] = window, window.duration

    def add(self, page: Page) -> Iterator[FetchedDay]:
        """Add a page; yields the days that it completes."""
        shared = self._shared(page.window)
        parts = page.parts(list(shared.values()))
        for (day, window), part in zip(shared.items(), parts, strict=True):
            self._parts.setdefault(day, []).append(part)
            self._missing[day] -= window.duration
            if not self._missing[day]:
                yield self._out(day)

    def days_in(self, window: TimeWindow) -> list[date]:
        """The incomplete days that overlap `window`."""
        return list(self._shared(window))

    def _shared(self, window: TimeWindow) -> dict[date, TimeWindow]:
        """The part of `window` in which candles of an incomplete day open, for each that has
        one."""
        # A candle that opens on a day may reach into the next, never further.
        return {
            day: shared
            for day in days_between(window.start.date() - ONE_DAY, window.end.date())
            if day in self._windows and (shared := self._windows[day].intersection(window))
        }

    def _out(self, day: date) -> FetchedDay:
        del self._windows[day], self._missing[day]
        page = joined(sorted(self._parts.pop(day), key=lambda part: part.window))
        return fetched_day(self._instrument_name, day, page)


def fetched_day(instrument_name: str, day: date, page: Page) -> FetchedDay:
    """The day that consists of the candles of the page."""
    return FetchedDay(
        instrument_name,
        day,
        page.candles.columns,
        page.as_of,
        page.expected,
        page.unclosed,
        is_listed=len(page.expected) > 0,
        verdict=verdict_of([remark.what for remark in page.remarks]),
        cross_check=_cross_check(page),
    )


def _cross_check(page: Page) -> CrossCheck:
    if any(remark.is_disagreement for remark in page.remarks):
        return CrossCheck.DISAGREES
    is_whole = 0 < len(page.candles) == len(page.agreeing)
    return CrossCheck.AGREES if is_whole else CrossCheck.NONE


def unlisted_day(instrument_name: str, day: date, as_of: datetime) -> FetchedDay:
    """A day on which the instrument was not listed: nothing is expected, and nothing requested."""
    nothing = Candles.none()
    return FetchedDay(
        instrument_name, day, nothing.columns, as_of, nothing.opened_at, is_listed=False
    )
