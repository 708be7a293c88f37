"""`backfill`: which days of a dataset are requested, and with what result."""

import logging
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from deribit_pipeline.cli import arguments
from deribit_pipeline.cli.app import command
from deribit_pipeline.cli.backfill_report import print_plan, print_report
from deribit_pipeline.cli.dagster_runs import RequestedDays, make
from deribit_pipeline.cli.instrument_choice import window_of
from deribit_pipeline.cli.options import (
    DatasetName,
    FirstDay,
    Instruments,
    LastDay,
    ResolutionOfCandles,
    Series,
)
from deribit_pipeline.cli.terminal import stderr, warnings_on
from deribit_pipeline.datasets.registry import Selection
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.availability import require_available
from deribit_pipeline.engine.estimate import Limit, estimate
from deribit_pipeline.engine.failures import WRONG_INPUT, note_outage
from deribit_pipeline.engine.incomplete import (
    Known,
    held_series,
    known_of,
)
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.engine.relisted import listed_now
from deribit_pipeline.engine.source import source_of
from deribit_pipeline.errors import DeribitError, UnknownInstrument
from deribit_pipeline.exchange.session import Exchange, spool_of
from deribit_pipeline.instruments.listings import (
    Listings,
    exchange_time,
    index_names,
    listings,
    near_names,
)
from deribit_pipeline.opening import open_exchange, warehouse_of
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)


@command(
    "deribit-pipeline backfill --instruments BTC-PERPETUAL,ETH-PERPETUAL "
    "--start 2024-01-01 --end 2024-01-31 --resolution 1; deribit-pipeline backfill "
    "--dataset funding_rates --start 2024-01-01 --end 2024-12-31",
)
def backfill(
    start: FirstDay,
    instruments: Instruments = None,
    end: LastDay = None,
    resolution: ResolutionOfCandles = None,
    dataset_name: DatasetName = None,
    series: Series = None,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Print the requests that would be made, without making them."),
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Fetch days again that are already proved complete; of trades, also what was "
            "recorded.",
        ),
    ] = False,
    twice: Annotated[
        bool,
        typer.Option(
            "--twice",
            help="Store only rows that two responses for different windows share, even if a wrong "
            "response passes the cross-checks. For candles, funding rates, volatility index and "
            "trades, each window is requested twice. Settlements, delivery prices and the account "
            "are always read twice, in different pages. Historical volatility and index prices "
            "have no windows: two equal responses are always required. "
            "Days that are already proved need --force as well.",
        ),
    ] = False,
) -> int:
    """Fetch, verify and store days of a dataset (candles by default)."""
    wanted = arguments.RequestedDays(dataset_name, resolution, instruments, series)
    dataset = wanted.dataset()
    first, last = arguments.window(start, end)
    settings = Settings.load()
    arguments.require_account(dataset, settings)
    warehouse = warehouse_of(settings).pinned()
    warehouse.check()
    assert first is not None
    with ExitStack() as stack:
        listings_in = stack.enter_context(_without_making(warehouse)) if plan else warehouse
        names = wanted.names(dataset, settings, listings_in, window_of(first, last))
        stack.enter_context(warnings_on(stderr()))
        found = _Found(settings, warehouse, dataset, stack, _all(names, first, last or first))
        try:
            found.find(first, last, force=force, are_named=wanted.series is not None)
        except DeribitError as error:
            found.require_nothing(error, plan=plan)
        days, known = found.days, found.known
        if plan:
            limit = Limit(settings.requests_per_second, settings.burst)
            left = known.unsettled(days)
            counted = estimate(dataset, days, left, known.listed, limit, each_twice=twice)
            recorded = None if force else source_of(dataset).recorded(spool_of(settings), left)
            return print_plan(counted, dataset, recorded)
        if found.exchange is not None:
            found.exchange.each_twice = twice
        total = make(
            settings,
            warehouse,
            found.exchange,
            RequestedDays(dataset, days, known, found.now, force),
        )
    is_done = not force and not known.unsettled(days)
    return print_report(total, dataset, days, found.now, is_done=is_done)


@dataclass(slots=True)
class _Found:
    """The requested days, what is known about them, and the exchange if it was opened."""

    settings: Settings
    warehouse: Warehouse
    dataset: Dataset
    stack: ExitStack
    days: dict[str, list[date]]
    known: Known = field(default_factory=Known)
    exchange: Exchange | None = None
    now: datetime | None = None

    def find(self, first: date, last: date | None, *, force: bool, are_named: bool) -> None:
        """Find the days that are settled, and the listings of their instruments.

        Raises InputError for a day in the future and for a series that the exchange does not have,
        NoLongerAvailable for days that it no longer has, and DeribitError if it is needed and does
        not respond.
        """
        if last is None:  # today is taken from the exchange's clock
            exchange = self._opened()
            self.now = exchange.run(exchange_time(exchange.client))
            last = _not_future(first, None, self.now.date())[1]
            self.days = _all(self.days, first, last)
        if not force:
            self.known = known_of(self.warehouse, self.dataset, self.days)
        unsettled = self.known.unsettled(self.days)
        if not unsettled and not self.known.on_listing:
            return
        exchange = self._opened()
        # Checked before anything is written: a name that is not listed is a mistake in the command.
        if self.dataset.series is SeriesKind.INDEX and are_named:
            _require_indexes(exchange, self.warehouse, self.dataset, unsettled)
        self.known, self.now = _listed(
            exchange, self.warehouse, self.dataset, self.known, self.days
        )
        _not_future(first, last, self.now.date())
        left = self.known.unsettled(self.days)
        require_available(exchange, self.warehouse, self.dataset, left, self.now.date())

    def require_nothing(self, error: DeribitError, *, plan: bool) -> None:
        """Raise the error unless every day is already proved."""
        unsettled = self.known.unsettled(self.days)
        if unsettled and not plan:
            note_outage(self.warehouse, self.dataset, unsettled, error)
        if unsettled or isinstance(error, WRONG_INPUT):
            raise error
        logger.warning("Could not confirm that the listings are unchanged: %s", error.summary)

    def _opened(self) -> Exchange:
        if self.exchange is None:
            self.exchange = self.stack.enter_context(open_exchange(self.settings))
        return self.exchange


@contextmanager
def _without_making(warehouse: Warehouse) -> Iterator[Warehouse]:
    """The warehouse; if there is none, a temporary one, so that the listings that selectors need
    create none."""
    if warehouse.exists():
        yield warehouse
        return
    with TemporaryDirectory(prefix="deribit-plan-") as folder:
        yield warehouse.in_file(Path(folder) / "listings.duckdb")


def _all(names: Collection[str], first: date, last: date) -> dict[str, list[date]]:
    return {name: list(days_between(first, last)) for name in names}


def _require_indexes(
    exchange: Exchange, warehouse: Warehouse, dataset: Dataset, names: Collection[str]
) -> None:
    """Raise InputError for a name that is not an index. A name with stored days is accepted even if
    the exchange no longer lists it."""
    returned = exchange.run(index_names(exchange.client))
    arguments.require_indexes(names, {*returned, *held_series(warehouse, Selection((dataset,)))})


def _listed(
    exchange: Exchange, warehouse: Warehouse, dataset: Dataset, known: Known, days: Days
) -> tuple[Known, datetime]:
    """What is known, with the listings that are needed; and the exchange's time."""
    listed: Listings = {}
    if dataset.series is SeriesKind.INSTRUMENT and known.unsettled(days):
        try:
            listed, now = exchange.run(listings(exchange, warehouse, known.unsettled(days)))
        except UnknownInstrument as unknown:
            name = str(unknown.params["instrument_name"])
            unknown.near = exchange.run(near_names(exchange, warehouse, name))
            raise
    else:
        now = exchange.run(exchange_time(exchange.client))
    others = [name for name in known.on_listing if name not in listed]
    listed = {**listed, **exchange.run(listed_now(exchange, warehouse, others))}
    return known.with_listings(listed), now


def _not_future(first: date, last: date | None, today: date) -> tuple[date, date]:
    last = last or today
    for option, day in (("--start", first), ("--end", last)):
        if day > today:
            raise arguments.future(option, day, today)
    return first, last
