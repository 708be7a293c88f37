"""Candles: the chart method of both hosts, with every trap of the real one."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from deribit_pipeline.sandbox.listing import Listing
from deribit_pipeline.sandbox.market import DAY, EIGHT_HOURS, MINUTE, Market, Rows, rolled_up
from deribit_pipeline.sandbox.refusals import Refusal, invalid, milliseconds, required
from deribit_pipeline.sandbox.world import Method, World

METHOD = "public/get_tradingview_chart_data"
MOST_CANDLES = 5_001
STEPS = {str(m): m * MINUTE for m in (1, 3, 5, 10, 15, 30, 60, 120, 180, 360, 720)} | {"1D": DAY}
HOUR = 60 * MINUTE
CHART_NAMES = ("open", "high", "low", "close", "volume", "cost")


# Two years of hours of 40 instruments.
@functools.lru_cache(maxsize=30_000)
def _unchanged(market: Market, opened: int, step: int, anchor: int) -> Rows:
    """The candles of 24 hours that are over, as the market has them."""
    return rolled_up(market.minutes(opened, opened + DAY), step, anchor)


class Charts:
    """The candles that both hosts return. `anchor` is when candles of 180, 360 and 720 minutes
    open after midnight, in milliseconds."""

    def __init__(self, world: World, anchor: int = 0) -> None:
        self.anchor = anchor
        self._world = world
        self._gaps: list[tuple[str, int, int]] = []
        self._revisions: dict[str, dict[int, float]] = {}

    def methods(self) -> dict[str, Method]:
        """The method of www."""
        return {METHOD: lambda params: self._get_chart(params, self._world.remembered(params))}

    def history_methods(self) -> dict[str, Method]:
        """The method of the archive host, which also has expired instruments."""
        return {METHOD: lambda params: self._get_chart(params, self._world.listing(params))}

    def omit(self, instrument_name: str, start_ms: int, end_ms: int) -> None:
        """Omit the one-minute candles that open in [start, end), as exchanges do."""
        self._gaps.append((instrument_name, start_ms, end_ms))

    def find(self, instrument_name: str) -> None:
        """Return the omitted candles of an instrument again."""
        self._gaps = [gap for gap in self._gaps if gap[0] != instrument_name]

    def revise(self, instrument_name: str, tick_ms: int, volume: float) -> None:
        """Return another volume of this one-minute candle from now on."""
        self._revisions.setdefault(instrument_name, {})[tick_ms] = volume

    def _get_chart(self, params: Mapping[str, str], listing: Listing) -> dict[str, Any]:
        start, end = (milliseconds(params, name) for name in ("start_timestamp", "end_timestamp"))
        step = STEPS.get(required(params, "resolution"))
        if step is None:
            raise invalid("resolution", "unsupported resolution")
        if start > end:
            raise invalid("start_timestamp", "must be before end_timestamp")
        if listing.kind == "spot":
            raise Refusal(11060, "not_supported_for_coinbase_routed_spot")
        rows = self._candles(listing, start, end, step)[-MOST_CANDLES:]
        chart: dict[str, Any] = {
            "ticks": rows.ticks,
            "status": "ok" if len(rows.ticks) else "no_data",
        }
        for column, name in enumerate(CHART_NAMES):
            chart[name] = np.ascontiguousarray(rows.values[:, column])
        return chart

    def _candles(self, listing: Listing, start: int, end: int, step: int) -> Rows:
        """The candles that open in [start, end], with the start floored to the opening of its
        candle, and the last one unfinished."""
        anchor = EIGHT_HOURS if step == DAY else self.anchor
        now = self._world.now_ms()
        last = (min(end, now) - anchor) // step * step + anchor
        first = (max(start, listing.created_ms) - anchor) // step * step + anchor
        first = max(first, last - MOST_CANDLES * step)  # older ones are dropped anyway
        if step < HOUR or first > last:
            return self._rolled_up(listing, (first, min(last + step, now + 1)), step, anchor, now)
        # By day, because these candles are few and take as long as their minutes.
        midnight = (first - anchor) // DAY * DAY + anchor
        days = [
            self._of_day(listing, opened, step, anchor, now)
            for opened in range(midnight, last + step, DAY)
        ]
        ticks = np.concatenate([day.ticks for day in days])
        begin, end = np.searchsorted(ticks, [first, last + 1])
        return Rows(ticks, np.concatenate([day.values for day in days]))[begin:end]

    def _of_day(self, listing: Listing, opened: int, step: int, anchor: int, now: int) -> Rows:
        """The candles of 24 hours, from the cache if they are over and nothing changes them."""
        name = listing.instrument_name
        changed = name in self._revisions or any(gap[0] == name for gap in self._gaps)
        if changed or opened + DAY > now:
            span = (opened, min(opened + DAY, now + 1))
            return self._rolled_up(listing, span, step, anchor, now)
        return _unchanged(self._world.market(listing), opened, step, anchor)

    def _rolled_up(
        self, listing: Listing, span: tuple[int, int], step: int, anchor: int, now: int
    ) -> Rows:
        minutes = self._world.market(listing).minutes(*span)
        return rolled_up(self._as_returned(listing, minutes, now), step, anchor)

    def _as_returned(self, listing: Listing, minutes: Rows, now: int) -> Rows:
        """The minutes as the exchange returns them now: the running one unfinished, some changed,
        some omitted."""
        name, ticks, values = listing.instrument_name, minutes.ticks, minutes.values.copy()
        if len(ticks) and now < ticks[-1] + MINUTE:
            values[-1] = self._world.market(listing).unfinished(int(ticks[-1]), now)
        for tick, volume in self._revisions.get(name, {}).items():
            values[ticks == tick, 4] = volume
        is_there = np.ones(len(ticks), bool)
        for gap_name, start, end in self._gaps:
            if gap_name == name:
                is_there &= (ticks < start) | (ticks >= end)
        return Rows(ticks, values)[is_there]
