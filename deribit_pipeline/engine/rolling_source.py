"""Sources of retention-limited data: one response with the newest rows only, to be fetched in
time."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.malformed import malformed_of
from deribit_pipeline.domain.proofs import DayState, FetchedDay
from deribit_pipeline.domain.rows import Keys, count_of
from deribit_pipeline.domain.windows import from_moment64
from deribit_pipeline.engine.expectations import expectations, once
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.engine.rolling_window import RollingWindow, read_window
from deribit_pipeline.engine.row_reads import rows_of
from deribit_pipeline.engine.source import FailedDays, SeriesSource
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.entries import Readings
from deribit_pipeline.exchange.methods import ParsedResponse
from deribit_pipeline.exchange.repeats import until_two_agree
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

RowsRequest = Callable[[DeribitClient, str], Awaitable[ParsedResponse[Readings]]]

Check = Callable[[FetchedDay], FetchedDay]
"""Compares a day with another dataset."""

Witness = Callable[[Connection, str, Sequence[date]], Check]
"""Reads another dataset's data for the days of a series."""


def no_witness(connection: Connection, series: str, days: Sequence[date]) -> Check:
    """No other dataset to compare the days with."""
    return lambda fetched: fetched


@dataclass(frozen=True, slots=True)
class RollingSource(SeriesSource):
    """Fetches the one available response, until two agree: a response does not name its series.

    `step` and `reach` are as in `read_window`. Days before the oldest returned row are missing all
    rows that were not fetched in time. `witness` returns the check that compares the days with
    another dataset.
    """

    dataset: Dataset
    method: str
    request: RowsRequest
    step: timedelta | None = None
    reach: timedelta | None = None
    witness: Witness = no_witness

    async def fetch(
        self, exchange: Exchange, warehouse: Warehouse, series: str, days: Sequence[date]
    ) -> AsyncGenerator[FetchedDay | FailedDays]:
        """All days follow from the same responses, or have failed."""
        try:
            window = await self._window(exchange, series)
        except DeribitBadPayload as error:
            yield FailedDays(days, error)
            return
        held, checked = await asyncio.to_thread(self._held, warehouse, series, days)
        for day in days:
            if (why := malformed_of(window.malformed, day)) is not None:
                yield FailedDays([day], self._bad_payload(series, why))
                continue
            moments, state = held.get(day, (None, DayState.OPEN))
            is_complete = state is DayState.COMPLETE
            yield checked(window.day(series, day, moments, is_complete=is_complete))

    async def first_available(self, exchange: Exchange, warehouse: Warehouse, series: str) -> date:
        """The first day of which rows are returned."""
        return from_moment64((await self._window(exchange, series)).since).date()

    async def _window(self, exchange: Exchange, series: str) -> RollingWindow:
        at = self.dataset.at

        async def request() -> RollingWindow:
            returned = await self.request(exchange.client, series)
            rows, malformed = returned.value.rows, returned.value.malformed
            # For a retention-limited method, the first row may be returned twice.
            is_twice = count_of(rows) > 1 and rows[at][0] == rows[at][1]
            rows, conflicting = once(self.dataset, rows, expected=int(is_twice))
            with expectations(self.method, series=series):
                return read_window(
                    at, rows, returned.as_of,
                    reach=self.reach, step=self.step, malformed=malformed + conflicting,
                )  # fmt: skip

        contradiction = self._bad_payload(series, "responses contradict each other")
        return await until_two_agree(request, RollingWindow.is_alike, contradiction)

    def _bad_payload(self, series: str, reason: str) -> DeribitBadPayload:
        return DeribitBadPayload(reason, method=self.method, params={"series": series})

    def requests(self, series: str, days: Sequence[date], *, each_twice: bool = False) -> int:
        """Two responses, for any number of days."""
        return 2

    def _held(
        self, warehouse: Warehouse, series: str, days: Sequence[date]
    ) -> tuple[dict[date, tuple[Keys, DayState]], Check]:
        """The stored timestamps and states of the days, and the check that compares days."""
        with warehouse.reading() as connection:
            held = {
                proof.day: (
                    rows_of(connection, self.dataset, series, proof.day)[self.dataset.at],
                    proof.state,
                )
                for proof in proofs_of(connection, self.dataset, [series], min(days), max(days))
                if proof.day in days
            }
            return held, self.witness(connection, series, days)
