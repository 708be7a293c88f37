"""Which source brings which dataset."""

from collections.abc import Mapping

from deribit_pipeline import datasets
from deribit_pipeline.operations.sources import rolling
from deribit_pipeline.operations.sources.account import ACCOUNT_SOURCES
from deribit_pipeline.operations.sources.delivery_prices import DeliveryPricesSource
from deribit_pipeline.operations.sources.funding import FundingRates
from deribit_pipeline.operations.sources.rebuilt import RebuiltCandles
from deribit_pipeline.operations.sources.settlements import SettlementsSource
from deribit_pipeline.operations.sources.source import Source
from deribit_pipeline.operations.sources.trades import TradesSource
from deribit_pipeline.operations.sources.volatility_index import VolatilityIndexCandles

SOURCES: Mapping[str, Source] = {
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
