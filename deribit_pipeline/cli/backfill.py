"""`backfill` and `repair`: which days of which dataset, and with what result."""

import logging
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import replace
from datetime import date, datetime

from deribit_pipeline.cli import arguments
from deribit_pipeline.cli.backfill_report import print_plan, print_report
from deribit_pipeline.cli.dagster_runs import Wish, make
from deribit_pipeline.cli.terminal import stderr, warnings_on
from deribit_pipeline.datasets.registry import DATASETS, Selection
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.estimate import Limit, estimate
from deribit_pipeline.engine.failures import WRONG_INPUT, note_outage
from deribit_pipeline.engine.incomplete import (
    Known,
    held_names_resting,
    held_series,
    incomplete_days,
    known_of,
)
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.engine.reach import within_reach
from deribit_pipeline.errors import DeribitError
from deribit_pipeline.exchange.session import Exchange, open_exchange
from deribit_pipeline.instruments.listings import Listings, exchange_time, index_names, listings
from deribit_pipeline.instruments.relisted import listed_now
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)


def run(
    wanted: arguments.Wanted, start: str, end: str | None, *, plan: bool, force: bool, twice: bool
) -> int:
    """The command `backfill`; returns its exit code."""
    dataset = wanted.dataset()
    first, last = arguments.window(start, end)
    settings = Settings.load()
    arguments.require_account(dataset, settings)
    names = wanted.names(dataset, settings)
    warehouse = Warehouse(settings.warehouse, settings.environment).pinned()
    warehouse.check()
    assert first is not None
    with ExitStack() as stack:
        stack.enter_context(warnings_on(stderr()))
        exchange, now, known = None, None, Known()
        days = _all(names, first, last or first)
        try:
            if last is None:  # the exchange has to say which day it is
                exchange = stack.enter_context(open_exchange(settings))
                now = exchange.run(exchange_time(exchange.client))
                days = _all(names, *_not_future(first, None, now.date()))
            if not force:
                known = known_of(warehouse, dataset, days)
            if known.unsettled(days) or known.resting:
                exchange = exchange or stack.enter_context(open_exchange(settings))
                # Before anything is written: a name that is not listed is a mistake in the command.
                if dataset.series is SeriesKind.INDEX and wanted.series is not None:
                    _require_indexes(exchange, warehouse, dataset, known.unsettled(days))
                known, now = _listed(exchange, warehouse, dataset, known, days)
                _not_future(first, last, now.date())
        except DeribitError as error:
            unsettled = known.unsettled(days)
            if unsettled and not plan:
                note_outage(warehouse, dataset, unsettled, error)
            if unsettled or isinstance(error, WRONG_INPUT):
                raise
            # Every day is proved, and stays so without an exchange.
            logger.warning("Whether the listings still stand is unknown: %s", error.summary)
        if plan:
            limit = Limit(settings.requests_per_second, settings.burst)
            left = known.unsettled(days)
            counted = estimate(dataset, days, left, known.listed, limit, each_twice=twice)
            return print_plan(counted, dataset)
        if exchange is not None:
            exchange.each_twice = twice
        wish = Wish(dataset, days, known, now, force)
        total = make(settings, warehouse, exchange, wish)
    return print_report(total, dataset, days, now)


def repair(wanted: arguments.Wanted, start: str | None, end: str | None) -> int:
    """The command `repair`; returns its exit code."""
    first, last = arguments.window(start, end)
    settings = Settings.load()
    selection = wanted.selection(settings, first, last)
    for dataset in selection.datasets:
        arguments.require_account(dataset, settings)
    named = bool(selection.datasets)
    if not named:
        selection = replace(selection, datasets=within_reach(settings))
    chosen = () if named else selection.datasets
    out_of_reach = tuple(each for each in DATASETS.values() if chosen and each not in chosen)
    warehouse = Warehouse(settings.warehouse, settings.environment).pinned()
    warehouse.check()
    warehouse.require_there()
    wanted.require_held(selection, held_series(warehouse, selection), settings.warehouse)
    code = 0
    with warnings_on(stderr()), open_exchange(settings) as exchange:
        now = exchange.run(exchange_time(exchange.client))
        names = held_names_resting(warehouse, selection)
        listed = exchange.run(listed_now(exchange, warehouse, names))
        found = incomplete_days(warehouse, now, selection, listed)
        if found.resting:
            stderr().print(
                f"Resting: {found.resting:,} gapped days, asked again from "
                f"{found.due_at:%Y-%m-%d %H:%M} UTC on, or now with --start and --end."
            )
        left: list[Dataset] = []
        if out_of_reach:
            left += incomplete_days(warehouse, now, replace(selection, datasets=out_of_reach)).days
        for dataset in left:
            stderr().print(
                f"Not requested: days of the {dataset.label}, of your own account, which are not "
                "complete: no API key is set."
            )
        if not (found.resting or found.days or left):
            stderr().print("Nothing to repair: every day that should be complete is.")
        for dataset, days in found.days.items():
            total = make(settings, warehouse, exchange, Wish(dataset, days, now=now))
            code = max(code, print_report(total, dataset, days, now))
    return code


def _all(names: Collection[str], first: date, last: date) -> dict[str, list[date]]:
    return {name: list(days_between(first, last)) for name in names}


def _require_indexes(
    exchange: Exchange, warehouse: Warehouse, dataset: Dataset, names: Collection[str]
) -> None:
    """Raise InputError for a name that is no index. One of which days are held was one, whether or
    not the exchange still names it."""
    told = exchange.run(index_names(exchange.client))
    arguments.require_indexes(names, {*told, *held_series(warehouse, Selection((dataset,)))})


def _listed(
    exchange: Exchange, warehouse: Warehouse, dataset: Dataset, known: Known, days: Days
) -> tuple[Known, datetime]:
    """What is known once the exchange has returned the listings that it takes; and its clock."""
    listed: Listings = {}
    if dataset.series is SeriesKind.INSTRUMENT and known.unsettled(days):
        listed, now = exchange.run(listings(exchange, warehouse, known.unsettled(days)))
    else:
        now = exchange.run(exchange_time(exchange.client))
    others = [name for name in known.resting if name not in listed]
    listed = {**listed, **exchange.run(listed_now(exchange, warehouse, others))}
    return known.with_listings(listed), now


def _not_future(first: date, last: date | None, today: date) -> tuple[date, date]:
    last = last or today
    for option, day in (("--start", first), ("--end", last)):
        if day > today:
            raise arguments.future(option, day, today)
    return first, last
