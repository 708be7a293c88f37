"""The grid of series and days, and what its keys mean.

Static, because it works on a fresh instance with nothing run before. The dimensions' names sort
`instrument`, `currency` and `index_name` before `utc_day`, which is what makes a key read
`BTC-PERPETUAL|2024-01-31`.
"""

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime

import dagster as dg

from deribit_pipeline.domain.dataset import SeriesKind
from deribit_pipeline.settings import FIRST_DAY

logger = logging.getLogger(__name__)

UTC_DAY = "utc_day"

# Twice what is comfortable: docs/decisions/0016-the-partition-grid.md has the measurements.
_SLOW = 200_000


class SeriesDays(dg.MultiPartitionsDefinition):
    """Dagster's grid, whose list of keys costs less.

    Dagster lists every key after each ranged run that has checks, only to count them, and makes an
    object of 800 bytes of each: 7 seconds and half a gigabyte for 200 instruments of eight years.
    As strings, which is what they are to all who read them, it is a tenth of that.
    """

    def get_partition_keys(  # type: ignore[override]
        self,
        current_time: datetime | None = None,
        dynamic_partitions_store: object = None,  # of dynamic partitions, which these are not
    ) -> Sequence[str]:
        """Every key, series by series."""
        series, days = (
            dimension.partitions_def.get_partition_keys(current_time)
            for dimension in self.partitions_defs
        )
        return [partition_key(name, day) for name in series for day in days]


def series_days(
    kind: SeriesKind, series: Sequence[str], first: date = FIRST_DAY, last: date | None = None
) -> SeriesDays:
    """The grid, from `first` to today, the running day included.

    `last` extends it where the exchange's day is ahead of this machine's.
    """
    today = datetime.now(UTC).date()
    return SeriesDays(
        {
            kind.value: dg.StaticPartitionsDefinition(list(series)),
            UTC_DAY: dg.DailyPartitionsDefinition(
                start_date=first.isoformat(),
                timezone="UTC",
                end_offset=max(1, ((last or today) - today).days + 1),
            ),
        }
    )


def warn_where_slow(grids: Iterable[SeriesDays]) -> None:
    """Say that Dagster's pages will take their time, and what helps, where a grid is that large."""
    largest = max(grid.get_num_partitions() for grid in grids)
    if largest > _SLOW:
        logger.warning(
            "An asset has %s partitions, and Dagster's UI is comfortable up to 100,000: set "
            "DERIBIT_PARTITIONS_SINCE to a later day. The command line takes any day all the same",
            f"{largest:,}",
        )


def partition_key(series: str, day: date | str) -> str:
    """The key of a series' day; as a text the day is written `2024-01-31`."""
    return f"{series}|{day}"


def days_by_series(keys: Iterable[str]) -> dict[str, list[date]]:
    """The days of partition keys, by series."""
    days: dict[str, list[date]] = {}
    for key in keys:
        series, _, day = key.partition("|")
        days.setdefault(series, []).append(date.fromisoformat(day))
    return days
