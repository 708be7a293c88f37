"""The account's history, which requires an API key.

The exchange publishes no count of entries, trades or settlements. So everything is requested twice,
every other time with the neighbouring days, and a day is trusted once two responses agree.
"""

import itertools
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np

from deribit_pipeline.datasets.account import SETTLEMENT_HISTORY, TRANSACTION_LOG, USER_TRADES
from deribit_pipeline.datasets.account import wire as methods
from deribit_pipeline.datasets.account.calls import (
    get_settlement_history,
    get_transaction_log,
    get_user_trades,
)
from deribit_pipeline.datasets.account.proof import (
    AccountRows,
    Bounds,
    are_alike,
    balance_verdict,
    bounds_of,
    of_day,
    require_page,
    settled_until,
    windows_of,
    with_neighbours,
)
from deribit_pipeline.datasets.settlements.proof import MOST_A_SECOND
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.malformed import Malformed, malformed_of
from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.domain.rows import Columns, count_of
from deribit_pipeline.domain.windows import day_window, days_between, from_ms, to_ms
from deribit_pipeline.engine.expectations import once
from deribit_pipeline.engine.following import Progress, TooManyPages, new_rows, united, with_page
from deribit_pipeline.engine.source import FailedDays, SeriesSource
from deribit_pipeline.errors import DeribitBadPayload, EndlessPages
from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.repeats import until_two_agree
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)

# How long trades are available as recent ones. For an earlier start the response may be empty, so a
# slightly shorter time is requested.
_RECENT = timedelta(hours=24)
_MARGIN = timedelta(minutes=10)

# The maximum average rate of an account's rows: above any rate limit, and the settlements of every
# day.
_ENTRIES_A_SECOND, _TRADES_A_SECOND, _SETTLEMENTS_A_SECOND = 50.0, 50.0, MOST_A_SECOND

# The number of windows when a month is halved repeatedly, down to a few milliseconds.
_HALVINGS = 120

RowsRequest = Callable[[DeribitClient, str, Bounds], Awaitable[AccountRows]]
"""Requests all rows of a currency between two bounds. Raises a DeribitError."""

Verdict = Callable[[Columns, str, date], str]


def no_verdict(rows: Columns, currency: str, day: date) -> str:
    """No verdict: these rows do not depend on each other."""
    return ""


@dataclass(frozen=True, slots=True)
class AccountSource(SeriesSource):
    """Fetches one history of the account, a currency's days at a time.

    `request` follows the pages of one response to the end; it takes about `calls` calls. `method`
    is named in errors.
    """

    dataset: Dataset
    method: str
    request: RowsRequest
    calls: int = 1
    verdict: Verdict = no_verdict

    async def fetch(
        self, exchange: Exchange, warehouse: Warehouse, series: str, days: Sequence[date]
    ) -> AsyncGenerator[FetchedDay | FailedDays]:
        """A month at a time; if no two responses for it agree, day by day."""
        for first, last in windows_of(days):
            async for piece in self._window(exchange.client, series, first, last):
                yield piece

    def requests(self, series: str, days: Sequence[date], *, each_twice: bool = False) -> int:
        """Two responses for each month, regardless of their number of pages."""
        return 2 * self.calls * len(list(windows_of(days)))

    async def _window(
        self, client: DeribitClient, currency: str, first: date, last: date
    ) -> AsyncGenerator[FetchedDay | FailedDays]:
        try:
            confirmed, around, settled = await self._agreed(client, currency, first, last)
        except DeribitBadPayload as error:
            if first == last:
                yield FailedDays([first], error)
                return
            logger.warning("%s; requesting one day at a time", error)
            for day in days_between(first, last):
                async for piece in self._window(client, currency, day, day):
                    yield piece
            return
        for day in days_between(first, last):
            if (why := malformed_of(confirmed.malformed, day)) is not None:
                yield FailedDays([day], self._bad_payload(why, currency, first, last))
                continue
            yield FetchedDay(
                currency,
                day,
                of_day(self.dataset, confirmed.rows, day),
                confirmed.as_of,
                is_over=day_window(day).end <= settled,
                is_confirmed=True,
                verdict=self.verdict(around, currency, day),
            )

    async def _agreed(
        self, client: DeribitClient, currency: str, first: date, last: date
    ) -> tuple[AccountRows, Columns, datetime]:
        """The rows on which two responses agree, those of the response with the most neighbouring
        days, and the instant up to which all responses are complete."""
        neighbours = itertools.cycle((0, 1))
        settled: list[datetime] = []
        trusted: list[AccountRows] = []

        async def request() -> AccountRows:
            bounds = bounds_of(first, last, neighbours=next(neighbours))
            try:
                returned = await self.request(client, currency, bounds)
            except TooManyPages as error:
                raise EndlessPages(
                    str(error), method=self.method, params=_params_of(currency, first, last)
                ) from error
            except ValueError as error:
                raise self._bad_payload(str(error), currency, first, last) from error
            settled.append(returned.settled_until)
            return returned

        def alike(former: AccountRows, later: AccountRows) -> bool:
            is_alike = are_alike(self.dataset, first, last, former, later)
            trusted.extend((former, later) if is_alike else ())
            return is_alike

        contradiction = "responses contradict each other about which rows there are"
        confirmed = await until_two_agree(
            request, alike, self._bad_payload(contradiction, currency, first, last)
        )
        malformed = tuple(each for one in trusted for each in one.malformed)
        return replace(confirmed, malformed=malformed), with_neighbours(trusted), min(settled)

    def _bad_payload(
        self, reason: str, currency: str, first: date, last: date
    ) -> DeribitBadPayload:
        return DeribitBadPayload(
            reason, method=self.method, params=_params_of(currency, first, last)
        )


def _params_of(currency: str, first: date, last: date) -> dict[str, object]:
    return {"currency": currency, "days": f"{first} to {last}"}


class _Pages:
    """The pages of one response: their rows so far, and the malformed entries."""

    def __init__(self, dataset: Dataset, page: int, most_a_second: float) -> None:
        self._dataset = dataset
        self._progress = Progress(page, most_a_second)
        self.malformed: tuple[Malformed, ...] = ()

    def read(self, page: methods.AccountPage, bounds: Bounds) -> Columns:
        """The rows of a page, without duplicates."""
        rows, conflicting = once(self._dataset, page.rows)
        self.malformed += page.malformed + conflicting
        return require_page(self._dataset, rows, bounds)

    def joined(self, rows: Columns, page: methods.AccountPage, bounds: Bounds) -> Columns:
        """The rows so far and those that the next page adds, which are older."""
        is_last = page.continuation is None
        joined = with_page(self._dataset, rows, self.read(page, bounds), is_last=is_last)
        if not is_last:
            added = count_of(joined) - count_of(rows)
            self._progress.add(added, np.ptp(joined[self._dataset.at]))
        return joined


async def fetch_log(client: DeribitClient, currency: str, bounds: Bounds) -> AccountRows:
    """The log's entries: page after page, until the last one."""
    returned = await get_transaction_log(client, currency, bounds.first, bounds.last)
    pages = _Pages(TRANSACTION_LOG, methods.MOST_ENTRIES, _ENTRIES_A_SECOND)
    rows, as_of = pages.read(returned.value, bounds), returned.as_of
    while returned.value.continuation is not None:
        returned = await get_transaction_log(
            client, currency, bounds.first, bounds.last, continuation=returned.value.continuation
        )
        rows = pages.joined(rows, returned.value, bounds)
    return AccountRows(rows, as_of, settled_until(as_of), pages.malformed)


async def fetch_trades(client: DeribitClient, currency: str, bounds: Bounds) -> AccountRows:
    """The recent trades and the historical ones, from which the newest are missing.

    The recent ones are requested first: a trade that becomes historical in between is then returned
    twice instead of never.
    """
    as_of = await client.get_time()
    oldest = as_of - _RECENT
    recent = Bounds(max(bounds.first, to_ms(oldest + _MARGIN)), bounds.last)
    if recent.first > recent.last:
        rows, malformed = await _trades(client, currency, bounds, historical=True)
        return AccountRows(rows, as_of, settled_until(as_of), malformed)
    newest, conflicting = await _trades(client, currency, recent, historical=False)
    if client.rpc.as_of is None or client.rpc.as_of > from_ms(recent.first) + _RECENT:
        raise ValueError("the recent trades were returned too late to be complete")
    rows, malformed = await _trades(client, currency, bounds, historical=True)
    settled = settled_until(as_of, new_rows(USER_TRADES, rows, newest)["traded_at"])
    boundary = Bounds(to_ms(oldest), recent.first)
    if bounds.first < boundary.last and not await _is_covered(client, currency, rows, boundary):
        settled = min(settled, oldest)
    # The state of an order and the number of contracts may differ between the two.
    rows = united(USER_TRADES, rows, newest, but=("told",))
    return AccountRows(rows, as_of, settled, malformed + conflicting)


async def _is_covered(
    client: DeribitClient, currency: str, history: Columns, boundary: Bounds
) -> bool:
    """Whether no trade can be missing that is too old for the recent ones and possibly too new for
    the historical ones: the historical ones reach further, or the log has none."""
    if np.any(history["traded_at"].astype(np.int64) >= boundary.first):
        return True
    log = await fetch_log(client, currency, boundary)
    return "trade" not in log.rows["type"]


async def _trades(
    client: DeribitClient, currency: str, bounds: Bounds, *, historical: bool
) -> tuple[Columns, tuple[Malformed, ...]]:
    """The trades of one kind, and the malformed ones. A window with more trades than fit in a
    response is split in halves."""
    pages = _Pages(USER_TRADES, methods.MOST_TRADES, _TRADES_A_SECOND)
    progress = Progress(methods.MOST_TRADES, _TRADES_A_SECOND, free=_HALVINGS)

    async def halved(bounds: Bounds) -> Columns:
        returned = await get_user_trades(
            client, currency, bounds.first, bounds.last, historical=historical
        )
        covered = np.timedelta64(bounds.last - first, "ms")
        progress.add(count_of(returned.value.rows), covered)
        if not returned.value.may_be_incomplete:
            return pages.read(returned.value, bounds)
        halves = bounds.halves()
        if halves is None:
            raise ValueError("a few milliseconds have more trades than fit in a response")
        return united(USER_TRADES, *[await halved(half) for half in halves])

    first = bounds.first
    return await halved(bounds), pages.malformed


async def fetch_settlements(client: DeribitClient, currency: str, bounds: Bounds) -> AccountRows:
    """The settlements, newest first, until older ones than requested are returned."""
    returned = await get_settlement_history(client, currency, bounds.last)
    pages = _Pages(SETTLEMENT_HISTORY, methods.MOST_SETTLEMENTS, _SETTLEMENTS_A_SECOND)
    rows, as_of = pages.read(returned.value, Bounds(0, bounds.last)), returned.as_of
    while returned.value.continuation is not None:
        oldest = int(rows["settled_at"].astype(np.int64).min(initial=bounds.last))
        if oldest < bounds.first:
            break
        returned = await get_settlement_history(
            client, currency, bounds.last, continuation=returned.value.continuation
        )
        rows = pages.joined(rows, returned.value, Bounds(0, oldest))
    return AccountRows(rows, as_of, settled_until(as_of), pages.malformed)


TRANSACTION_LOG_SOURCE = AccountSource(
    TRANSACTION_LOG, methods.LOG, fetch_log, verdict=balance_verdict
)
USER_TRADES_SOURCE = AccountSource(USER_TRADES, methods.TRADES, fetch_trades, calls=3)
SETTLEMENT_HISTORY_SOURCE = AccountSource(
    SETTLEMENT_HISTORY, methods.SETTLEMENTS, fetch_settlements
)
