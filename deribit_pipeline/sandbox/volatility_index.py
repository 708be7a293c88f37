"""The volatility index: invented minutes, returned with every trap of the real method."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.sandbox.drivers import DAY, MINUTE, seed_of
from deribit_pipeline.sandbox.listing import ms_of
from deribit_pipeline.sandbox.refusals import invalid, milliseconds, required
from deribit_pipeline.sandbox.surface import level_of_day
from deribit_pipeline.sandbox.world import Method, World

MOST_CANDLES = 1_000
BEGAN = ms_of("2021-03-24T00:00:00")
STEPS = {"1": 1_000, "60": MINUTE, "3600": 60 * MINUTE, "43200": 720 * MINUTE, "1D": DAY}

_CURRENCIES = ("BTC", "ETH", "USDC", "USDT", "EURR")
_VOLATILE = ("BTC", "ETH")

Floats = NDArray[np.float64]


class VolatilityIndex:
    """The history of the index. It is unknown whether a currency without one is refused, and
    whether the candle at `continuation` is repeated (assumption:dvol-continuation):
    `refuses_others` and `repeats` decide it here. `began` is when the first candle opens. `creeps`
    returns one candle per response, which opens at the requested end, and continues a millisecond
    earlier.
    """

    refuses_others = True
    repeats = False
    creeps = False
    began = BEGAN

    def __init__(self, world: World) -> None:
        self._world = world
        self._lost: list[tuple[str, int, int]] = []

    def methods(self) -> dict[str, Method]:
        return {"public/get_volatility_index_data": self._get_data}

    def omit(self, currency: str, start: int, end: int) -> None:
        """Omit the one-minute candles that open in [start, end), and all coarser ones with them."""
        self._lost.append((currency, start, end))

    def _get_data(self, params: Mapping[str, str]) -> dict[str, Any]:
        currency = required(params, "currency")
        start, end = (milliseconds(params, name) for name in ("start_timestamp", "end_timestamp"))
        step = STEPS.get(required(params, "resolution"))
        if step is None:
            raise invalid("resolution", "unsupported resolution")
        if currency not in _CURRENCIES or (currency not in _VOLATILE and self.refuses_others):
            raise invalid("currency", "invalid currency")
        if currency not in _VOLATILE:
            return {"data": [], "continuation": None}
        if self.creeps:
            candle = self._candle(currency, end // step * step, step)
            return {"data": [[end, *candle[1:]]], "continuation": end - 1}
        first = max(-(-start // step) * step, self.began // step * step)
        last = min(end, self._world.now_ms()) // step * step
        first = max(first, last - 2 * MOST_CANDLES * step)  # older ones are dropped anyway
        opened = np.arange(first, last + 1, step, dtype=np.int64)
        for lost, lost_from, lost_to in self._lost:
            if lost == currency:
                opened = opened[(opened + step <= lost_from) | (opened >= lost_to)]
        rows = opened[-MOST_CANDLES:]
        continuation = None
        if len(rows) < len(opened):
            continuation = int(rows[0]) - (0 if self.repeats else step)
        return {
            "data": [self._candle(currency, int(tick), step) for tick in rows],
            "continuation": continuation,
        }

    def _candle(self, currency: str, tick: int, step: int) -> list[float]:
        """The unfinished candle. A minute reaches its extremes in its first second."""
        now = self._world.now_ms()
        if step < MINUTE:
            opened, high, low, close = self._minutes(currency, tick // DAY)[tick % DAY // MINUTE]
            values = (opened, high, low, close) if tick % MINUTE == 0 else (close,) * 4
            return [tick, *map(float, values)]
        until = min(tick + step, now // MINUTE * MINUTE + MINUTE)
        minutes = np.concatenate(
            [self._minutes(currency, day) for day in range(tick // DAY, -(-until // DAY))]
        )
        part = minutes[tick % DAY // MINUTE :][: (until - tick) // MINUTE]
        close = part[-1, 3]
        if now < until:  # the running minute has no close yet
            close = np.round((part[-1, 0] + part[-1, 3]) / 2, 2)
        return [tick, float(part[0, 0]), float(part[:, 1].max()), float(part[:, 2].min()), close]

    @functools.lru_cache(maxsize=64)  # noqa: B019 - a sandbox lives as long as its process
    def _minutes(self, currency: str, day: int) -> Floats:
        """Open, high, low and close of each minute of a day; each opens at the last one's close."""
        start, end = level_of_day(currency, day), level_of_day(currency, day + 1)
        rng = np.random.default_rng(seed_of(f"{currency} DVOL {day}"))
        walk = np.cumsum(rng.normal(0, 0.03, 1_440))
        path = start + walk + np.linspace(0, end - start - walk[-1], 1_440)
        close = np.round(np.maximum(path, 5.0), 2)
        opened = np.concatenate(([np.round(start, 2)], close[:-1]))
        reach = np.abs(rng.normal(0, 0.02, (2, 1_440)))
        high = np.round(np.maximum(opened, close) + reach[0], 2)
        low = np.round(np.minimum(opened, close) - reach[1], 2)
        return np.column_stack([opened, high, low, close])
