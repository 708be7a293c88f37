"""The distribution of durations, in memory that does not grow."""

import math
from dataclasses import dataclass, field

# Each class of durations ends 5 % above the one before; the last one begins after an hour.
_RATIO, _FIRST_MS, _LAST_MS = 1.05, 1.0, 3_600_000.0
_CLASSES = math.ceil(math.log(_LAST_MS / _FIRST_MS, _RATIO)) + 2


@dataclass(slots=True)
class Latencies:
    """Counts durations by their size: a quantile is at most 5 % above the exact one, from 1 ms to
    an hour."""

    count: int = 0
    _counts: list[int] = field(default_factory=lambda: [0] * _CLASSES)

    def add(self, seconds: float) -> None:
        """Count a duration; a negative one, as of clocks that differ, as 0."""
        ms = seconds * 1000
        number = math.ceil(math.log(ms / _FIRST_MS, _RATIO)) if ms > _FIRST_MS else 0
        self._counts[min(number, _CLASSES - 1)] += 1
        self.count += 1

    def quantile_ms(self, share: float) -> float | None:
        """The duration that this share of them does not exceed, in milliseconds; None without
        any."""
        if not self.count:
            return None
        needed, seen = share * self.count, 0
        for number, count in enumerate(self._counts):
            seen += count
            if seen and seen >= needed:
                return float(round(_FIRST_MS * _RATIO**number, 1))
        raise AssertionError("the classes have every duration")
