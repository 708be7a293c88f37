"""The trades before a day, as far as they are proved: a day's first candles repeat the close of the
last earlier trade."""

from datetime import date, datetime

from deribit_pipeline.domain.windows import day_window, from_us
from deribit_pipeline.warehouse.place import Connection

_FORMER_DAY = """
select coalesce(max(day), cast($day as date))
from dataset_days
where dataset = 'trades' and series = $instrument_name and day < $day
  and state = 'complete' and received > 0"""

_KNOWN_AT = f"""
select max(epoch_us(fetched_at))
from dataset_days
where dataset = 'trades' and series = $instrument_name and day <= $day and day >= ({_FORMER_DAY})"""

# The first trade has the number 1. If it is not stored, days without trades must reach back to a
# day on which the instrument was not listed.
_IS_FIRST = """
with former as (
    select max(day) as unlisted
    from dataset_days
    where dataset = 'trades' and series = $instrument_name and day < $day and state = 'not_listed'
)
select exists (
    from trades
    where instrument_name = $instrument_name and trade_seq = 1 and traded_at >= $start
) or exists (
    from former
    where cast($day as date) - unlisted = (
        select count(*) from dataset_days
        where dataset = 'trades' and series = $instrument_name and day > unlisted and day <= $day
          and state = 'complete' and received = 0
    )
)"""


def former_day(connection: Connection, instrument_name: str, day: date) -> date:
    """The latest earlier day with trades since which all days are proved, or the day itself if
    there is none."""
    required = {"instrument_name": instrument_name, "day": day}
    former: date
    [(former,)] = connection.execute(_FORMER_DAY, required).fetchall()
    return former


def known_at(connection: Connection, instrument_name: str, day: date) -> datetime:
    """The exchange's time of the newest proof among the trades of a proved day and the days since
    the former one."""
    required = {"instrument_name": instrument_name, "day": day}
    [(known_us,)] = connection.execute(_KNOWN_AT, required).fetchall()
    return from_us(known_us)


def is_first(connection: Connection, instrument_name: str, day: date) -> bool:
    """Whether it is proved that no trade happened before the day."""
    required = {"instrument_name": instrument_name, "day": day, "start": day_window(day).start}
    [(is_proved,)] = connection.execute(_IS_FIRST, required).fetchall()
    return bool(is_proved)
