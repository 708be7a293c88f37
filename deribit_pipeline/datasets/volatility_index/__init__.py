"""Deribit's volatility index DVOL, in one-minute and one-hour candles."""

from deribit_pipeline.datasets.volatility_index.rules import RULES
from deribit_pipeline.datasets.volatility_index.table import TABLE
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.schedule import daily

VOLATILITY_INDEX = Dataset(
    name="volatility_index",
    label="volatility index",
    rows="candles",
    series=SeriesKind.CURRENCY,
    currencies=("BTC", "ETH"),
    at="opened_at",
    key=("resolution", "opened_at"),
    table=TABLE,
    rules=RULES,
    source=f"{__name__}.source:SOURCE",
    proves=("every minute and hour of DVOL"),
    schedules=(daily("00:15"),),
)
