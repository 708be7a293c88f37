"""Which source brings which dataset."""

from collections.abc import Mapping

from deribit_pipeline.datasets import registry as datasets
from deribit_pipeline.datasets.account.source import ACCOUNT_SOURCES
from deribit_pipeline.datasets.candles.source import SOURCE as CANDLES
from deribit_pipeline.datasets.candles_rebuilt.source import RebuiltCandles
from deribit_pipeline.datasets.delivery_prices.source import DeliveryPricesSource
from deribit_pipeline.datasets.funding_rates.source import FundingRates
from deribit_pipeline.datasets.rolling import source as rolling
from deribit_pipeline.datasets.settlements.source import SettlementsSource
from deribit_pipeline.datasets.trades.source import TradesSource
from deribit_pipeline.datasets.volatility_index.source import VolatilityIndexCandles
from deribit_pipeline.engine.source import Source

SOURCES: Mapping[str, Source] = {
    **dict.fromkeys((dataset.name for dataset in datasets.CANDLES.values()), CANDLES),
    datasets.FUNDING_RATES.name: FundingRates(),
    datasets.VOLATILITY_INDEX.name: VolatilityIndexCandles(),
    datasets.TRADES.name: TradesSource(),
    datasets.CANDLES_REBUILT.name: RebuiltCandles(),
    datasets.SETTLEMENTS.name: SettlementsSource(),
    datasets.DELIVERY_PRICES.name: DeliveryPricesSource(),
    datasets.HISTORICAL_VOLATILITY.name: rolling.HISTORICAL_VOLATILITY,
    datasets.INDEX_PRICES.name: rolling.INDEX_PRICES,
    **ACCOUNT_SOURCES,
}
"""By the dataset's name."""
