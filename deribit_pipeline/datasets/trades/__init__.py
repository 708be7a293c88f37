"""Every trade of an instrument, by its number."""

from deribit_pipeline.datasets.trades.table import RECORDER_SESSIONS, TABLE
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.schedule import Due, daily, every_minutes
from deribit_pipeline.domain.specification import kind_and_currency

TRADES = Dataset(
    name="trades",
    label="trades",
    rows="trades",
    series=SeriesKind.INSTRUMENT,
    at="traded_at",
    key=("trade_seq",),
    table=TABLE,
    more_tables=(RECORDER_SESSIONS,),
    least_rows=lambda instrument, day: int(instrument.listed_on(day) is not None),
    source=f"{__name__}.source:SOURCE",
    proves=(
        "a sequence of trade numbers without a hole, from before midnight to after midnight, from "
        "the recorder and from requests for what it did not record"
    ),
    schedules=(every_minutes(5, Due.RECORDED), daily("01:18")),
    recorder="deribit_pipeline.recorder.trade_recorder:trade_recorder",
    recorded_as=kind_and_currency,
    # Switching schedules on should not store a million trades a day by accident.
    is_scheduled_by_hand=True,
    is_bulky=True,
)
