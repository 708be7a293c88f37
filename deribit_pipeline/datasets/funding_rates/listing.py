"""The hours of a perpetual according to its listing."""

from datetime import UTC, date, datetime, timedelta

from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.windows import END_OF_TIME, TimeWindow

BEGAN = datetime(2019, 4, 30, 10, tzinfo=UTC)
"""The end of the first hour for which the exchange publishes funding of BTC-PERPETUAL
(assumption:funding-began)."""

HISTORY = TimeWindow(BEGAN, END_OF_TIME)

_HOUR = timedelta(hours=1)


def least_rows(instrument: Instrument, day: date) -> int:
    """The full hours of a day on which a perpetual was listed; 0 for other instruments."""
    listed = instrument.listed_on(day)
    life = listed.intersection(HISTORY) if listed else None
    is_perpetual = instrument.instrument_name.endswith("-PERPETUAL")
    return life.duration // _HOUR if life and is_perpetual else 0
