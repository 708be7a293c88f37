"""One-minute candles rebuilt from complete trades, compared with the published ones."""

from deribit_pipeline.datasets.candles_rebuilt.rules import RULES
from deribit_pipeline.datasets.candles_rebuilt.table import TABLE
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.schedule import daily

CANDLES_REBUILT = Dataset(
    name="candles_rebuilt",
    label="rebuilt 1m candles",
    rows="candles",
    series=SeriesKind.INSTRUMENT,
    at="opened_at",
    key=("opened_at",),
    table=TABLE,
    rules=RULES,
    source=f"{__name__}.source:SOURCE",
    made_of="trades",
    proves=("the candles that complete trades make; the verdict compares them with the exchange's"),
    has_verdicts=True,
    schedules=(daily("04:21"),),  # after the trades
    is_scheduled_by_hand=True,
)
