"""What a backfill would ask for, before it does."""

from collections.abc import Mapping
from dataclasses import dataclass

from deribit_pipeline.datasets.candles.requests import coarse_requests, requests
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.engine.source import source_of


@dataclass(frozen=True, slots=True)
class Limit:
    """The exchange's rate limit: calls a second, after a burst."""

    requests_per_second: float
    burst: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """Counts of a backfill; `rows` at most, for a day's last candles may not be closed yet, and
    None where nobody can tell before.

    `calls` are the requests and, of candles, two listings of each instrument; `seconds` is the
    time that the rate limit alone asks for.
    """

    days: int
    proved: int
    requests: int
    calls: int
    rows: int | None
    seconds: float


def estimate(
    instruments: Mapping[str, Instrument],
    resolution: Resolution,
    asked: Days,
    unsettled: Days,
    limit: Limit,
    *,
    each_twice: bool = False,
) -> Estimate:
    """Count requests and rows of the unsettled days, as the backfill itself would plan them, those
    for coarser candles to compare with included.

    An instrument that one request covers, and no coarser candles, takes another, unless the candle
    before it is held. With `each_twice`, each window takes two; coarser candles do not.
    """
    plans = [requests(instruments[name], resolution, days) for name, days in unsettled.items()]
    charts = 0
    for plan in plans:
        coarse = len(coarse_requests(plan))
        is_alone = len(plan) == 1 and not coarse
        charts += (2 if each_twice or is_alone else 1) * len(plan) + coarse
    # Each instrument's listing is asked for twice.
    calls = charts + 2 * len(unsettled)
    rows = sum(request.most for plan in plans for request in plan)
    return _estimate(asked, unsettled, charts, calls, rows, limit)


def estimate_rows(
    dataset: Dataset, asked: Days, unsettled: Days, limit: Limit, *, each_twice: bool = False
) -> Estimate:
    """Count the requests of any other dataset, as far as its source can tell before."""
    source = source_of(dataset)
    calls = sum(
        source.requests(name, sorted(days), each_twice=each_twice)
        for name, days in unsettled.items()
    )
    return _estimate(asked, unsettled, calls, calls, None, limit)


def _estimate(
    asked: Days, unsettled: Days, requests: int, calls: int, rows: int | None, limit: Limit
) -> Estimate:
    days, open_days = (sum(map(len, some.values())) for some in (asked, unsettled))
    return Estimate(
        days=days,
        proved=days - open_days,
        requests=requests,
        calls=calls,
        rows=rows,
        seconds=max(0.0, calls - limit.burst) / limit.requests_per_second,
    )
