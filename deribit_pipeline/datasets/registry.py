"""Every dataset: candles of each resolution, and the rest of the market."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from deribit_pipeline.datasets.candles.proof import rules_of
from deribit_pipeline.datasets.candles.proof_tables import OF_CANDLES
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.dataset import Dataset, Group, SeriesKind
from deribit_pipeline.domain.proofs import CrossCheck, Proof
from deribit_pipeline.domain.specification import CURRENCIES


def _candles(resolution: Resolution) -> Dataset:
    overhang = resolution.duration if resolution.anchor is None else resolution.anchor
    return Dataset(
        name=f"candles_{resolution.label}",
        label=f"{resolution.label} candles",
        rows="candles",
        series=SeriesKind.INSTRUMENT,
        at="opened_at",
        key=("opened_at",),
        group=Group.CANDLES,
        resolution=resolution,
        proved_in=OF_CANDLES,
        proof_rules=rules_of(resolution),
        constants=(("resolution", resolution.value),),
        overhang=overhang,
        settled_after=overhang,
    )


CANDLES = {resolution: _candles(resolution) for resolution in Resolution}

_VOLATILE = ("BTC", "ETH")

FUNDING_RATES = Dataset(
    name="funding_rates", label="funding rates", rows="hours",
    series=SeriesKind.INSTRUMENT, at="funded_at", key=("funded_at",), is_of_perpetuals=True,
)  # fmt: skip

VOLATILITY_INDEX = Dataset(
    name="volatility_index", label="volatility index", rows="candles",
    series=SeriesKind.CURRENCY, at="opened_at", key=("resolution", "opened_at"),
    currencies=_VOLATILE,
)  # fmt: skip

TRADES = Dataset(
    name="trades", label="trades", rows="trades",
    series=SeriesKind.INSTRUMENT, at="traded_at", key=("trade_seq",), is_bulky=True,
)  # fmt: skip

CANDLES_REBUILT = Dataset(
    name="candles_rebuilt", label="rebuilt 1m candles", rows="candles",
    series=SeriesKind.INSTRUMENT, at="opened_at", key=("opened_at",), made_of="trades",
    is_always_judged=True,
)  # fmt: skip

SETTLEMENTS = Dataset(
    name="settlements", label="settlements", rows="settlements",
    series=SeriesKind.CURRENCY, at="settled_at", key=("settled_at", "instrument_name", "type"),
    currencies=CURRENCIES,
)  # fmt: skip

DELIVERY_PRICES = Dataset(
    name="delivery_prices", label="delivery prices", rows="prices",
    series=SeriesKind.INDEX, at="delivery_date", key=("delivery_date",),
)  # fmt: skip

HISTORICAL_VOLATILITY = Dataset(
    name="historical_volatility", label="historical volatility", rows="hours",
    series=SeriesKind.CURRENCY, at="measured_at", key=("measured_at",), is_rolling=True,
    currencies=_VOLATILE,
)  # fmt: skip

INDEX_PRICES = Dataset(
    name="index_prices", label="index prices", rows="prices",
    series=SeriesKind.INDEX, at="priced_at", key=("priced_at",), is_rolling=True,
)  # fmt: skip

TRANSACTION_LOG = Dataset(
    name="transaction_log", label="transaction log", rows="entries",
    series=SeriesKind.CURRENCY, at="logged_at", key=("id",), group=Group.ACCOUNT,
    currencies=CURRENCIES, is_always_judged=True,
)  # fmt: skip

USER_TRADES = Dataset(
    name="user_trades", label="own trades", rows="trades",
    series=SeriesKind.CURRENCY, at="traded_at", key=("trade_id", "order_id"), group=Group.ACCOUNT,
    currencies=CURRENCIES,
)  # fmt: skip

SETTLEMENT_HISTORY = Dataset(
    name="settlement_history", label="own settlements", rows="settlements",
    series=SeriesKind.CURRENCY, at="settled_at", key=("settled_at", "instrument_name", "type"),
    group=Group.ACCOUNT, currencies=CURRENCIES,
)  # fmt: skip

ROW_DATASETS = (
    FUNDING_RATES, VOLATILITY_INDEX, TRADES, CANDLES_REBUILT, SETTLEMENTS, DELIVERY_PRICES,
    HISTORICAL_VOLATILITY, INDEX_PRICES, TRANSACTION_LOG, USER_TRADES, SETTLEMENT_HISTORY,
)  # fmt: skip
"""Every dataset whose days are proved in `dataset_days`; candles have `candle_days`."""

DATASETS = {dataset.name: dataset for dataset in (*CANDLES.values(), *ROW_DATASETS)}


def warning_of(proof: Proof) -> str:
    """The verdict that a reader of the rows of a day should know; empty where there is none."""
    if proof.cross_check is CrossCheck.DISAGREES:
        return proof.verdict or "an independent series of the exchange disagrees"
    return "" if dataset_of(proof).is_always_judged else proof.verdict


def dataset_of(proof: Proof) -> Dataset:
    """The dataset that a proof is of."""
    return DATASETS[proof.dataset]


def series_of(dataset: Dataset, instruments: Iterable[str]) -> tuple[str, ...]:
    """The series of a dataset that belong to these instruments: themselves, their price indices,
    or whatever the instruments, the currencies that the dataset has."""
    if dataset.series is SeriesKind.CURRENCY:
        return dataset.currencies
    if dataset.series is SeriesKind.INDEX:
        return tuple(dict.fromkeys(map(index_of, instruments)))
    perpetual = "-PERPETUAL"
    return tuple(
        name for name in instruments if name.endswith(perpetual) or not dataset.is_of_perpetuals
    )


def index_of(instrument_name: str) -> str:
    """The price index of an instrument: `btc_usd` of BTC-PERPETUAL, `sol_usdc` of SOL_USDC-…."""
    base, _, quote = instrument_name.partition("-")[0].partition("_")
    return f"{base}_{quote or 'USD'}".lower()


@dataclass(frozen=True, slots=True)
class Selection:
    """Some days: of these datasets (all of them where none is named), of these series (the same),
    from `first` to `last`, both included, where they are given."""

    datasets: tuple[Dataset, ...] = ()
    series: tuple[str, ...] = ()
    first: date | None = None
    last: date | None = None

    @property
    def all_datasets(self) -> tuple[Dataset, ...]:
        """The datasets, all of them where none is named."""
        return self.datasets or tuple(DATASETS.values())
