"""A rush of trades: many more than usual for some minutes, to load what records them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deribit_pipeline.sandbox.drivers import DAY, MINUTE
from deribit_pipeline.sandbox.tape import Plan


@dataclass(frozen=True, slots=True)
class Rush:
    """So many trades a second of each instrument in addition to the usual ones, in the traded
    minutes that open in [start_ms, end_ms). A day of it is generated at once, and takes about 100
    bytes of memory a trade."""

    instrument_names: frozenset[str]
    start_ms: int
    end_ms: int
    per_second: int

    def days(self) -> range:
        """The days that it touches, counted from 1970."""
        return range(self.start_ms // DAY, -(-self.end_ms // DAY))

    def added_to(self, plan: Plan, day: int) -> Plan:
        """The plan of a day with the additional trades."""
        opened = day * DAY + plan.minutes * MINUTE
        is_in: Any = (opened >= self.start_ms) & (opened < self.end_ms)
        trades = plan.trades + np.where(is_in, 60 * self.per_second, 0)
        return replace(plan, trades=trades, contracts=np.maximum(plan.contracts, trades))


def rush_of_perpetuals(now_ms: int, per_second: int, minutes: int = 20) -> Rush:
    """A rush of the two largest perpetuals, `per_second` trades together, from the next minute
    on."""
    start = (now_ms // MINUTE + 1) * MINUTE
    names = frozenset({"BTC-PERPETUAL", "ETH-PERPETUAL"})
    return Rush(names, start, start + minutes * MINUTE, per_second // len(names))
