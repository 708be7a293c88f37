"""The cost of fetching every instrument that Deribit ever listed, by this project's own planner.

The number of instruments and their lifetimes are assumptions, stated in `KINDS`; the exact figures
are on the archive host. `python -m benchmarks.paper_plan` prints the table of docs/scaling.md.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.estimate import Limit, estimate

LIMIT = Limit(requests_per_second=20.0, burst=100)
HOUR = Resolution("60")
BYTES_A_CANDLE = {Resolution.MINUTE_1: 15, HOUR: 19}
"""Measured in the sandbox: minutes by `market.py`, hours with perpetuals and options."""

BYTES_A_DAY = 100
"""The proof and the arrival of an instrument-day, measured in a file with 56,000 of them."""

_EXPIRY_HOUR = 8


@dataclass(frozen=True, slots=True)
class Kind:
    """A number of instruments that were each listed for this many days before they expired."""

    name: str
    instruments: int
    days: int


KINDS = (
    Kind("options that expire within days", 225_000, 3),
    Kind("options of weeks", 175_000, 21),
    Kind("options of months", 70_000, 90),
    Kind("options of quarters", 25_000, 300),
    Kind("futures and combos", 4_850, 60),
    Kind("perpetuals and spot", 150, 1_200),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of all instruments of a kind; `instrument_days` is also the number of partitions,
    `size` is in bytes."""

    name: str
    instruments: int
    instrument_days: int
    calls: int
    rows: int
    size: int

    @property
    def hours(self) -> float:
        """At the rate limit of one address."""
        return self.calls / LIMIT.requests_per_second / 3_600


def cost(kind: Kind, resolution: Resolution) -> Cost:
    """The planner's result for one such instrument, multiplied by their number."""
    listed = datetime(2020, 1, 1, _EXPIRY_HOUR, tzinfo=UTC)
    expires = listed + timedelta(days=kind.days)
    instrument = Instrument("ONE", "option", listed, expires)
    days = {"ONE": list(days_between(date(2020, 1, 1), expires.date()))}
    one = estimate(CANDLES[resolution], days, days, {"ONE": instrument}, LIMIT)
    rows = one.rows or 0
    size = rows * BYTES_A_CANDLE[resolution] + one.days * BYTES_A_DAY
    of_all = kind.instruments
    return Cost(
        kind.name, of_all, one.days * of_all, one.calls * of_all, rows * of_all, size * of_all
    )


def table(resolution: Resolution) -> str:
    """The plan for all kinds as Markdown."""
    costs = [cost(kind, resolution) for kind in KINDS]
    costs.append(
        Cost(
            "**all**",
            sum(each.instruments for each in costs),
            sum(each.instrument_days for each in costs),
            sum(each.calls for each in costs),
            sum(each.rows for each in costs),
            sum(each.size for each in costs),
        )
    )
    lines = [
        "| what | instruments | instrument-days | calls | hours at 20 a second | rows | GB |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {each.name} | {each.instruments:,} | {each.instrument_days:,} | {each.calls:,} "
        f"| {each.hours:,.1f} | {each.rows:,} | {each.size / 1e9:,.1f} |"
        for each in costs
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    for resolution in BYTES_A_CANDLE:
        print(f"\n{resolution.value}\n\n{table(resolution)}")
