"""Hourly realised volatility of a currency, as published by the exchange."""

from datetime import timedelta

from deribit_pipeline.datasets.historical_volatility.rules import RULES
from deribit_pipeline.datasets.historical_volatility.table import TABLE
from deribit_pipeline.domain.bounds import MOST_VOLATILITY, Bounds
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.schedule import hourly

HISTORICAL_VOLATILITY = Dataset(
    name="historical_volatility",
    label="historical volatility",
    rows="hours",
    series=SeriesKind.CURRENCY,
    currencies=("BTC", "ETH"),
    at="measured_at",
    key=("measured_at",),
    table=TABLE,
    rules=RULES,
    bounds={"volatility": Bounds(0.0, MOST_VOLATILITY, is_least=True)},
    source=f"{__name__}.source:SOURCE",
    proves=("its 24 hours, if they were fetched within 16 days"),
    schedules=(hourly(30),),
    kept=timedelta(days=16),
)
