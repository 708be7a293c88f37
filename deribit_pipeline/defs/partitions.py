"""The partition grid of series and days, and its keys.

Static, because it then works on a fresh instance with nothing run before. The dimensions are named
so that `instrument`, `currency` and `index_name` sort before `utc_day`, which makes a key read
`BTC-PERPETUAL|2024-01-31`.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime

import dagster as dg

from deribit_pipeline.domain.dataset import SeriesKind
from deribit_pipeline.settings import FIRST_DAY

logger = logging.getLogger(__name__)

UTC_DAY = "utc_day"

# Twice what is comfortable: docs/decisions/0016-the-partition-grid.md has the measurements.
_SLOW = 200_000


class SeriesDays(dg.MultiPartitionsDefinition):
    """Dagster's multi-partitions definition, with a cheaper list of keys.

    After each ranged run with checks, Dagster lists every key only to count them, and creates an
    object of 800 bytes for each: 7 seconds and half a gigabyte for 200 instruments over eight
    years. As plain strings, which is how all readers use them, they cost a tenth of that.
    """

    def get_partition_keys(  # type: ignore[override]
        self,
        current_time: datetime | None = None,
        dynamic_partitions_store: object = None,  # only for dynamic partitions
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
    """The grid, from `first` to today, both included.

    `last` extends it if the exchange's day is ahead of this machine's.
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


def warn_where_slow(grids: Mapping[str, SeriesDays]) -> None:
    """Log a warning, with the remedies, if the grid of an asset is so large that Dagster's pages
    of it become slow. The grids are given by the assets' names."""
    name, largest = max(grids.items(), key=lambda each: each[1].get_num_partitions())
    if largest.get_num_partitions() > _SLOW:
        logger.warning(
            "The asset %s has %s partitions, and Dagster's pages of it are responsive up to "
            "100,000: DERIBIT_GROUPS makes assets of fewer instruments, and a later "
            "DERIBIT_PARTITIONS_SINCE fewer days. The command line accepts any day regardless",
            name,
            f"{largest.get_num_partitions():,}",
        )


def partition_key(series: str, day: date | str) -> str:
    """The partition key of a series and day; a day given as text is written `2024-01-31`."""
    return f"{series}|{day}"


def series_of(keys: Iterable[str]) -> set[str]:
    """The series of partition keys."""
    return {key.partition("|")[0] for key in keys}


def days_by_series(keys: Iterable[str]) -> dict[str, list[date]]:
    """The days of partition keys, by series."""
    days: dict[str, list[date]] = {}
    for key in keys:
        series, _, day = key.partition("|")
        days.setdefault(series, []).append(date.fromisoformat(day))
    return days
