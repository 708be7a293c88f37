"""Settlements, deliveries, exercises and bankruptcies of all instruments of a currency."""

from deribit_pipeline.datasets.settlements.rules import RULES
from deribit_pipeline.datasets.settlements.table import TABLE
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.schedule import daily
from deribit_pipeline.domain.specification import CURRENCIES

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
    source=f"{__name__}.source:SOURCE",
    proves="all that was settled, read to both ends of the day",
    schedules=(daily("00:24"),),
)
