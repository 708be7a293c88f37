"""When a day is final at the exchange: some time after midnight UTC."""

from datetime import date, datetime, timedelta

from deribit_pipeline.domain.windows import day_window

SETTLING = timedelta(minutes=1)
"""How long after an event its row may appear in responses. A response shortly after midnight may
therefore miss the last rows of the day, and for days without a known number of rows this is the
only protection. That a minute is enough is assumption:rows-settle."""


def is_settled(day: date, as_of: datetime) -> bool:
    """Whether a response at `as_of` contains all rows of the day."""
    return day_window(day).end + SETTLING <= as_of
