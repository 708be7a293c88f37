"""When a day is over for those who keep it: some moments after midnight."""

from datetime import date, datetime, timedelta

from deribit_pipeline.domain.windows import day_window

SETTLING = timedelta(minutes=1)
"""How long the exchange may take to tell what happened: a row has the time of its event, and comes
to be told some moments later. An answer of the first moments after a day may so lack its last rows,
and of a day that nobody can count nothing else would show it. That a minute is enough is
assumption:rows-settle."""


def is_settled(day: date, as_of: datetime) -> bool:
    """Whether an answer of that moment tells all that there is of a day."""
    return day_window(day).end + SETTLING <= as_of
