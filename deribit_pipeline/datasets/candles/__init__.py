"""Candles in each of the exchange's twelve resolutions."""

import functools
from datetime import date

from deribit_pipeline.datasets.candles import proof, rules, table, volatility_views
from deribit_pipeline.datasets.candles.proof_tables import OF_CANDLES
from deribit_pipeline.datasets.candles.requests import expected_window
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.dataset import Dataset, Group, SeriesKind
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.schedule import Again, Due, daily, hourly, weekly

# Only the finest resolution is scheduled; the others are fetched on request.
_SCHEDULES = {
    Resolution.MINUTE_1: (
        hourly(10, Due.TODAY),
        daily("00:20", Due.LAST_WEEK, Again.PROVED_YESTERDAY),
        weekly("01:40", Due.REPAIR, Again.PROVED_LAST_WEEK),
    )
}


def _least_rows(resolution: Resolution, instrument: Instrument, day: date) -> int:
    opening = expected_window(instrument, resolution, day)
    return opening.duration // resolution.duration if opening else 0


def _candles(resolution: Resolution) -> Dataset:
    overhang = resolution.duration if resolution.anchor is None else resolution.anchor
    return Dataset(
        name=f"candles_{resolution.label}",
        label=f"{resolution.label} candles",
        rows="candles",
        series=SeriesKind.INSTRUMENT,
        at="opened_at",
        key=("opened_at",),
        table=table.CANDLES,
        more_tables=table.MORE_TABLES,
        views=(*table.VIEWS, *volatility_views.VIEWS),
        rules=rules.rules_of(resolution),
        rows_per_day=resolution.candles_per_day,
        least_rows=functools.partial(_least_rows, resolution),
        source=f"{__name__}.source:SOURCE",
        proves=("every candle that opens on it, in any of twelve resolutions"),
        schedules=_SCHEDULES.get(resolution, ()),
        group=Group.CANDLES,
        resolution=resolution,
        proved_in=OF_CANDLES,
        proof_rules=proof.rules_of(resolution),
        constants=(("resolution", resolution.value),),
        overhang=overhang,
        settled_after=overhang,
    )


CANDLES = {resolution: _candles(resolution) for resolution in Resolution}
