"""What a backfill would request, computed without making the requests."""

from dataclasses import dataclass

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.engine.source import source_of
from deribit_pipeline.instruments.listings import Listings


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
    limit imposes.
    """

    days: int
    proved: int
    requests: int
    calls: int
    rows: int | None
    seconds: float


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
    return Estimate(
        days=days,
        proved=days - left,
        requests=planned.requests,
        calls=planned.calls,
        rows=planned.rows,
        seconds=max(0.0, planned.calls - limit.burst) / limit.requests_per_second,
    )
