"""`repair`: fetch again every day that should be complete and is not."""

from dataclasses import replace

from deribit_pipeline.cli import arguments
from deribit_pipeline.cli.app import command
from deribit_pipeline.cli.backfill_report import counted, print_report
from deribit_pipeline.cli.dagster_runs import RequestedDays, make
from deribit_pipeline.cli.options import (
    DatasetHeld,
    FirstHeld,
    InstrumentsHeld,
    LastDay,
    ResolutionHeld,
    SeriesHeld,
)
from deribit_pipeline.cli.terminal import stderr, warnings_on
from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.engine.incomplete import (
    held_names_on_listing,
    held_series,
    holds_nothing,
    incomplete_days,
)
from deribit_pipeline.engine.reach import within_reach
from deribit_pipeline.engine.relisted import listed_now
from deribit_pipeline.instruments.listings import exchange_time
from deribit_pipeline.opening import open_exchange, warehouse_of
from deribit_pipeline.settings import Settings


@command("deribit-pipeline repair --start 2024-01-01 --end 2024-03-31")
def repair(
    instruments: InstrumentsHeld = None,
    start: FirstHeld = None,
    end: LastDay = None,
    resolution: ResolutionHeld = None,
    dataset_name: DatasetHeld = None,
    series: SeriesHeld = None,
) -> int:
    """Find every day that should be complete and is not, and fetch it again."""
    wanted = arguments.RequestedDays(dataset_name, resolution, instruments, series)
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
    warehouse = warehouse_of(settings).pinned()
    warehouse.check()
    warehouse.require_there()
    wanted.require_held(selection, held_series(warehouse, selection), settings.warehouse)
    code = 0
    with warnings_on(stderr()), open_exchange(settings) as exchange:
        now = exchange.run(exchange_time(exchange.client))
        names = held_names_on_listing(warehouse, selection)
        listed = exchange.run(listed_now(exchange, warehouse, names))
        found = incomplete_days(warehouse, now, selection, listed)
        if found.in_back_off:
            stderr().print(
                f"In back-off: {counted(found.in_back_off, 'gapped days')}; the next retry is due "
                f"at {found.due_at:%Y-%m-%d %H:%M} UTC; use --start and --end to retry now."
            )
        left: list[Dataset] = []
        if out_of_reach:
            left += incomplete_days(warehouse, now, replace(selection, datasets=out_of_reach)).days
        for dataset in left:
            stderr().print(
                f"Not requested: incomplete days of the {dataset.label}, which need your own "
                "account: no API key is set."
            )
        if not (found.in_back_off or found.days or left):
            if holds_nothing(warehouse, selection):
                stderr().print(arguments.nothing_held(settings.warehouse), soft_wrap=True)
                return 1
            stderr().print("Nothing to repair: every day that should be complete is.")
        for dataset, days in found.days.items():
            total = make(settings, warehouse, exchange, RequestedDays(dataset, days, now=now))
            code = max(code, print_report(total, dataset, days, now))
    return code
