"""The grid of series and days, and what its keys mean.

Static, because it works on a fresh instance with nothing run before. The dimensions' names sort
`instrument`, `currency` and `index_name` before `utc_day`, which is what makes a key read
`BTC-PERPETUAL|2024-01-31`.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime

import dagster as dg

from deribit_pipeline.datasets import SeriesKind

# The oldest instrument that the exchange still lists, BTC-PERPETUAL, began on 2018-08-14. The
# command line reaches further back where it is asked to.
FIRST_DAY = date(2018, 8, 1)

UTC_DAY = "utc_day"


def series_days(
    kind: SeriesKind, series: Sequence[str], first: date = FIRST_DAY, last: date | None = None
) -> dg.MultiPartitionsDefinition:
    """The grid, from `first` (or earlier grid's start) to today, the running day included.

    `last` extends it where the exchange's day is ahead of this machine's.
    """
    today = datetime.now(UTC).date()
    return dg.MultiPartitionsDefinition(
        {
            kind.value: dg.StaticPartitionsDefinition(list(series)),
            UTC_DAY: dg.DailyPartitionsDefinition(
                start_date=min(first, FIRST_DAY).isoformat(),
                timezone="UTC",
                end_offset=max(1, ((last or today) - today).days + 1),
            ),
        }
    )


def partition_key(series: str, day: date) -> str:
    """The key of a series' day."""
    return f"{series}|{day}"


def days_by_series(keys: Iterable[str]) -> dict[str, list[date]]:
    """The days of partition keys, by series."""
    days: dict[str, list[date]] = {}
    for key in keys:
        series, _, day = key.partition("|")
        days.setdefault(series, []).append(date.fromisoformat(day))
    return days
