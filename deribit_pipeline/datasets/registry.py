"""Every dataset, one line each: `module:name` of its declaration.

A declaration is data and depends only on the domain, so that any layer may import it. Other
installed packages add datasets by entry points of the group `deribit_pipeline.datasets`: see
docs/add-a-dataset.md.
"""

import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from importlib.metadata import entry_points

from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.proof_tables import OF_ROWS
from deribit_pipeline.domain.proofs import CrossCheck, Proof
from deribit_pipeline.domain.tables import Table, View
from deribit_pipeline.errors import SettingsError

_OWN = (
    "deribit_pipeline.datasets.candles:CANDLES",
    "deribit_pipeline.datasets.funding_rates:FUNDING_RATES",
    "deribit_pipeline.datasets.volatility_index:VOLATILITY_INDEX",
    "deribit_pipeline.datasets.trades:TRADES",
    "deribit_pipeline.datasets.candles_rebuilt:CANDLES_REBUILT",
    "deribit_pipeline.datasets.settlements:SETTLEMENTS",
    "deribit_pipeline.datasets.delivery_prices:DELIVERY_PRICES",
    "deribit_pipeline.datasets.historical_volatility:HISTORICAL_VOLATILITY",
    "deribit_pipeline.datasets.index_prices:INDEX_PRICES",
    "deribit_pipeline.datasets.book_summaries:BOOK_SUMMARIES",
    "deribit_pipeline.datasets.account:TRANSACTION_LOG",
    "deribit_pipeline.datasets.account:USER_TRADES",
    "deribit_pipeline.datasets.account:SETTLEMENT_HISTORY",
)
ENTRY_POINTS = "deribit_pipeline.datasets"
"""The group of entry points by which other packages add datasets."""


def _declared(lines: Iterable[str]) -> Iterator[Dataset]:
    for line in lines:
        found = pkgutil.resolve_name(line)
        yield from [found] if isinstance(found, Dataset) else found.values()


def _by_name(datasets: Iterable[Dataset]) -> dict[str, Dataset]:
    found: dict[str, Dataset] = {}
    for dataset in datasets:
        if dataset.name in found:
            raise SettingsError(
                f"Two datasets are called {dataset.name}, of {found[dataset.name].source} and of "
                f"{dataset.source}: uninstall the package of one, or rename it there."
            )
        found[dataset.name] = dataset
    return found


ADDED = tuple(_declared(sorted(point.value for point in entry_points(group=ENTRY_POINTS))))
"""The datasets of other packages. A warehouse may have been created before their installation."""

DATASETS = _by_name((*_declared(_OWN), *ADDED))
"""All of them, by name."""

ROW_DATASETS = tuple(dataset for dataset in DATASETS.values() if dataset.proved_in is OF_ROWS)
"""Every dataset whose days are proved in `dataset_days`; candles have `candle_days`."""


def tables() -> tuple[Table, ...]:
    """The tables of all datasets, each once."""
    return tuple(dict.fromkeys(table for each in DATASETS.values() for table in each.tables))


def views() -> tuple[View, ...]:
    """The views of all datasets, each once."""
    return tuple(dict.fromkeys(view for each in DATASETS.values() for view in each.views))


def warning_of(proof: Proof) -> str:
    """The verdict that a reader of a day's rows should know; empty if there is none."""
    if proof.cross_check is CrossCheck.DISAGREES:
        return proof.verdict or "an independent series of the exchange disagrees"
    return "" if dataset_of(proof).has_verdicts else proof.verdict


def dataset_of(proof: Proof) -> Dataset:
    """The dataset of a proof."""
    return DATASETS[proof.dataset]


def series_of(dataset: Dataset, instruments: Iterable[str]) -> tuple[str, ...]:
    """The series of a dataset that belong to these instruments: the instruments, their price
    indices, or all currencies of the dataset."""
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
    """Selected days: of these datasets (all if none is named) and series (likewise), from `first`
    to `last`, both included; None means unbounded."""

    datasets: tuple[Dataset, ...] = ()
    series: tuple[str, ...] = ()
    first: date | None = None
    last: date | None = None

    @property
    def all_datasets(self) -> tuple[Dataset, ...]:
        """The datasets, all of them if none is named."""
        return self.datasets or tuple(DATASETS.values())
