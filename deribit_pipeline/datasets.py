"""What is kept day by day: candles of each resolution, and the rest of the market.

A dataset is made of series (an instrument, a currency, an index), and each series of UTC days. A
series' day is what is fetched, proved, written and recorded as one.
"""

import enum
from dataclasses import dataclass

from deribit_pipeline.domain import Resolution


class SeriesKind(enum.StrEnum):
    """What a series is of; the value is the first dimension of its partitions."""

    INSTRUMENT = "instrument"
    CURRENCY = "currency"
    INDEX = "index_name"


class Group(enum.StrEnum):
    """The group of assets that a dataset is shown in."""

    CANDLES = "candles"
    MARKET = "market"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Dataset:
    """What is kept of many series, day by day.

    `name` is the asset's, and the table's but for candles, whose one table holds all resolutions.
    `rows` is what its rows are called, in the plural. `at` is the column that says on which day
    a row is: a timestamptz or a date. `key` names a row within a series. `is_rolling` tells that
    the exchange keeps only the newest rows: a day that was not asked for in time is lost.
    """

    name: str
    label: str
    rows: str
    series: SeriesKind
    at: str
    key: tuple[str, ...]
    group: Group = Group.MARKET
    is_rolling: bool = False
    resolution: Resolution | None = None


def _candles(resolution: Resolution) -> Dataset:
    return Dataset(
        name=f"candles_{resolution.label}",
        label=f"{resolution.label} candles",
        rows="candles",
        series=SeriesKind.INSTRUMENT,
        at="opened_at",
        key=("opened_at",),
        group=Group.CANDLES,
        resolution=resolution,
    )


CANDLES = {resolution: _candles(resolution) for resolution in Resolution}

FUNDING_RATES = Dataset(
    "funding_rates", "funding rates", "hours", SeriesKind.INSTRUMENT, "funded_at", ("funded_at",)
)
VOLATILITY_INDEX = Dataset(
    "volatility_index", "volatility index", "candles", SeriesKind.CURRENCY, "opened_at",
    ("resolution", "opened_at"),
)  # fmt: skip
TRADES = Dataset("trades", "trades", "trades", SeriesKind.INSTRUMENT, "traded_at", ("trade_seq",))
CANDLES_REBUILT = Dataset(
    "candles_rebuilt", "rebuilt 1m candles", "candles", SeriesKind.INSTRUMENT, "opened_at",
    ("opened_at",),
)  # fmt: skip
SETTLEMENTS = Dataset(
    "settlements", "settlements", "settlements", SeriesKind.CURRENCY, "settled_at",
    ("settled_at", "instrument_name", "type"),
)  # fmt: skip
DELIVERY_PRICES = Dataset(
    "delivery_prices", "delivery prices", "prices", SeriesKind.INDEX, "delivered_on",
    ("delivered_on",),
)  # fmt: skip
HISTORICAL_VOLATILITY = Dataset(
    "historical_volatility", "historical volatility", "hours", SeriesKind.CURRENCY, "measured_at",
    ("measured_at",), is_rolling=True,
)  # fmt: skip
INDEX_PRICES = Dataset(
    "index_prices", "index prices", "prices", SeriesKind.INDEX, "priced_at", ("priced_at",),
    is_rolling=True,
)  # fmt: skip
TRANSACTION_LOG = Dataset(
    "transaction_log", "transaction log", "entries", SeriesKind.CURRENCY, "logged_at", ("id",),
    group=Group.ACCOUNT,
)  # fmt: skip
USER_TRADES = Dataset(
    "user_trades", "own trades", "trades", SeriesKind.CURRENCY, "traded_at", ("trade_id",),
    group=Group.ACCOUNT,
)  # fmt: skip
SETTLEMENT_HISTORY = Dataset(
    "settlement_history", "own settlements", "settlements", SeriesKind.CURRENCY, "settled_at",
    ("settled_at", "instrument_name", "type"), group=Group.ACCOUNT,
)  # fmt: skip

ROW_DATASETS = (
    FUNDING_RATES, VOLATILITY_INDEX, TRADES, CANDLES_REBUILT, SETTLEMENTS, DELIVERY_PRICES,
    HISTORICAL_VOLATILITY, INDEX_PRICES, TRANSACTION_LOG, USER_TRADES, SETTLEMENT_HISTORY,
)  # fmt: skip
"""Every dataset whose days are proved in `dataset_days`; candles have `candle_days`."""

DATASETS = {dataset.name: dataset for dataset in (*CANDLES.values(), *ROW_DATASETS)}
