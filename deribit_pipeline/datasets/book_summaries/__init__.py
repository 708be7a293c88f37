"""Snapshots of all listed instruments of a currency: quotes, mark prices, mark IV, open interest.

The exchange publishes no history of them: they are recorded as they happen (`recorder`), and a day
contains what was recorded.
"""

from deribit_pipeline.datasets.book_summaries.rules import RULES
from deribit_pipeline.datasets.book_summaries.table import TABLE
from deribit_pipeline.datasets.book_summaries.views import VIEWS
from deribit_pipeline.domain.bounds import AMOUNT, MOST_VOLATILITY, PRICE, Bounds
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.schedule import Due, hourly
from deribit_pipeline.domain.specification import CURRENCIES

_PRICES = ("bid_price", "ask_price", "mark_price", "last_price")
_QUOTED = Bounds(0.0, PRICE.most, is_least=True, is_of_combos_too=False)

BOOK_SUMMARIES = Dataset(
    name="book_summaries",
    label="book summaries",
    rows="snapshots",
    series=SeriesKind.CURRENCY,
    currencies=CURRENCIES,
    at="snapshot_at",
    key=("snapshot_at", "instrument_name"),
    counted=("snapshot_at",),
    table=TABLE,
    views=VIEWS,
    rules=RULES,
    bounds=dict.fromkeys(_PRICES, _QUOTED)
    | {
        "mark_iv": Bounds(0.0, MOST_VOLATILITY, is_least=True),
        "underlying_price": PRICE,
        "open_interest": AMOUNT,
    },
    source=f"{__name__}.source:SOURCE",
    proves=(
        "one snapshot of all listed instruments in each slot of the recording interval, recorded "
        "in time"
    ),
    schedules=(hourly(41, Due.RECORDED | Due.REPAIR),),
    recorder="deribit_pipeline.recorder.snapshots:snapshot_recorders",
    is_recorded=True,
    is_bulky=True,
)
