"""The source of historical volatility: the hours of the last 16 days."""

from datetime import timedelta

from deribit_pipeline.datasets.historical_volatility import HISTORICAL_VOLATILITY
from deribit_pipeline.datasets.historical_volatility.wire import historical_volatility
from deribit_pipeline.engine.rolling_source import RollingSource

METHOD = "public/get_historical_volatility"

SOURCE = RollingSource(
    HISTORICAL_VOLATILITY,
    METHOD,
    # The first hour is returned twice.
    lambda client, currency: client.call(historical_volatility, METHOD, currency=currency),
    step=timedelta(hours=1),
)
