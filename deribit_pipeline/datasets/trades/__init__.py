"""Every trade of an instrument, by its number."""

from deribit_pipeline.datasets.trades.table import TABLE
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.schedule import daily

TRADES = Dataset(
    name="trades",
    label="trades",
    rows="trades",
    series=SeriesKind.INSTRUMENT,
    at="traded_at",
    key=("trade_seq",),
    table=TABLE,
    least_rows=lambda instrument, day: int(instrument.listed_on(day) is not None),
    source=f"{__name__}.source:SOURCE",
    proves=("a sequence of trade numbers without a hole, from before midnight to after midnight"),
    schedules=(daily("01:18"),),
    recorder="deribit_pipeline.recorder.trade_recorder:trade_recorder",
    # Switching schedules on should not store a million trades a day by accident.
    is_scheduled_by_hand=True,
    is_bulky=True,
)
