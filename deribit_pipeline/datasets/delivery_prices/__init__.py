"""Daily delivery prices of an index."""

from deribit_pipeline.datasets.delivery_prices.rules import RULES
from deribit_pipeline.datasets.delivery_prices.table import TABLE
from deribit_pipeline.domain.bounds import PRICE
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.schedule import daily

DELIVERY_PRICES = Dataset(
    name="delivery_prices",
    label="delivery prices",
    rows="prices",
    series=SeriesKind.INDEX,
    at="delivery_date",
    key=("delivery_date",),
    table=TABLE,
    rules=RULES,
    bounds={"delivery_price": PRICE},
    source=f"{__name__}.source:SOURCE",
    proves=("its price"),
    schedules=(daily("00:27"),),
)
