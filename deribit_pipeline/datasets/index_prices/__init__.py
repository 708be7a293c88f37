"""The points of the exchange's chart of an index."""

from datetime import timedelta

from deribit_pipeline.datasets.index_prices.rules import RULES
from deribit_pipeline.datasets.index_prices.table import TABLE
from deribit_pipeline.domain.bounds import PRICE
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.schedule import hourly

INDEX_PRICES = Dataset(
    name="index_prices",
    label="index prices",
    rows="prices",
    series=SeriesKind.INDEX,
    at="priced_at",
    key=("priced_at",),
    table=TABLE,
    rules=RULES,
    bounds={"price": PRICE},
    source=f"{__name__}.source:SOURCE",
    proves=("every point of the exchange's two-day chart, if it was fetched in time"),
    schedules=(hourly(33),),
    kept=timedelta(days=2),
)
