"""The hours of the last 16 days, as the exchange has measured them."""

from datetime import timedelta

from deribit_pipeline.datasets.historical_volatility import HISTORICAL_VOLATILITY
from deribit_pipeline.engine.rolling_source import RollingSource

SOURCE = RollingSource(
    HISTORICAL_VOLATILITY,
    "public/get_historical_volatility",
    lambda client, currency: client.get_historical_volatility(currency),
    step=timedelta(hours=1),
)
