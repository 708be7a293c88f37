"""Settlements, deliveries, exercises and bankruptcies of all instruments of a currency."""

from deribit_pipeline.datasets.settlements.rules import RULES
from deribit_pipeline.datasets.settlements.table import TABLE
from deribit_pipeline.domain.bounds import AMOUNT, MARK, PRICE
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.schedule import daily
from deribit_pipeline.domain.specification import CURRENCIES

_AMOUNTS = (
    "position", "funding", "profit_loss", "session_profit_loss", "funded",
    "session_bankruptcy", "session_tax", "socialized",
)  # fmt: skip

SETTLEMENTS = Dataset(
    name="settlements",
    label="settlements",
    rows="settlements",
    series=SeriesKind.CURRENCY,
    currencies=CURRENCIES,
    at="settled_at",
    key=("settled_at", "instrument_name", "type"),
    table=TABLE,
    rules=RULES,
    bounds={"mark_price": MARK, "index_price": PRICE} | dict.fromkeys(_AMOUNTS, AMOUNT),
    source=f"{__name__}.source:SOURCE",
    proves=("every settlement, read up to both ends of the day"),
    schedules=(daily("00:24"),),
)
