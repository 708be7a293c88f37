"""What a backfill would ask for, before it does."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

from deribit_pipeline.domain import Instrument, Resolution
from deribit_pipeline.planning.requests import requests


@dataclass(frozen=True, slots=True)
class Estimate:
    """Counts of a backfill; `rows` at most, for a day's last candles may not be closed yet.

    `seconds` is the time that the rate limit alone asks for.
    """

    days: int
    proved: int
    requests: int
    rows: int
    seconds: float


def estimate(
    instruments: Mapping[str, Instrument],
    resolution: Resolution,
    asked: Mapping[str, Collection[date]],
    unsettled: Mapping[str, Collection[date]],
    *,
    requests_per_second: float,
    burst: int,
) -> Estimate:
    """Count requests and rows of the unsettled days, as the backfill itself would plan them.

    An instrument that one request covers may take another, to have its answer supported.
    """
    plan = [
        request
        for name, days in unsettled.items()
        for request in requests(instruments[name], resolution, days)
    ]
    days = sum(map(len, asked.values()))
    open_days = sum(map(len, unsettled.values()))
    calls = len(plan) + 2 * len(unsettled)  # each instrument's listing is asked for twice
    return Estimate(
        days=days,
        proved=days - open_days,
        requests=len(plan),
        rows=sum(request.most for request in plan),
        seconds=max(0.0, calls - burst) / requests_per_second,
    )
