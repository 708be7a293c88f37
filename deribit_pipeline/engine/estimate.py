"""What a backfill would request, computed without making the requests."""

from dataclasses import dataclass

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.engine.jobs import Days, jobs_of
from deribit_pipeline.engine.source import source_of
from deribit_pipeline.instruments.listings import Listings

# Seconds that each takes on two busy cores, without waiting for the exchange. A day is proved,
# written and recorded in Dagster: docs/decisions/0031-events-in-bulk.md has the measurements.
_A_ROW, _A_DAY, _A_RUN, _START = 5e-6, 1e-3, 0.2, 2.5


@dataclass(frozen=True, slots=True)
class Limit:
    """The exchange's rate limit: calls a second, after a burst."""

    requests_per_second: float
    burst: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """Counts of a backfill; `rows` is a maximum, because a day's last candles may not be closed
    yet, and None if it cannot be estimated.

    `calls` are the requests and those for listings; `seconds` is the minimum duration that the rate
    limit imposes, `seconds_in_all` what to expect, with what is done with each row and day.
    """

    days: int
    proved: int
    requests: int
    calls: int
    rows: int | None
    seconds: float
    seconds_in_all: float


def estimate(
    dataset: Dataset,
    required: Days,
    unsettled: Days,
    listed: Listings,
    limit: Limit,
    *,
    each_twice: bool = False,
) -> Estimate:
    """Count the requests and rows of the unsettled days, as far as the dataset's source can
    estimate them. `listed` are the instruments among the series; for `each_twice` see
    `Source.planned`."""
    planned = source_of(dataset).planned(dataset, unsettled, listed, each_twice=each_twice)
    days, left = (sum(map(len, some.values())) for some in (required, unsettled))
    seconds = max(0.0, planned.calls - limit.burst) / limit.requests_per_second
    runs = len(jobs_of(unsettled))
    return Estimate(
        days=days,
        proved=days - left,
        requests=planned.requests,
        calls=planned.calls,
        rows=planned.rows,
        seconds=seconds,
        # Requests, rows and the recording of days overlap in part: the longest sets the pace.
        seconds_in_all=max(seconds, (planned.rows or 0) * _A_ROW)
        + left * _A_DAY
        + runs * _A_RUN
        + _START,
    )
