"""Series of candles in plain integers, and the mutations of a response with them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import strategies as st

from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.windows import Moments, TimeWindow, from_ms, to_ms

MINUTE, DAY = 60_000, 86_400_000
BASE = 1_704_067_200_000  # 2024-01-01
SOME = (Resolution.MINUTE_1, Resolution.MINUTE_5, Resolution.HOUR_1, Resolution.HOUR_3,
        Resolution.HOUR_6, Resolution.DAY_1)  # fmt: skip


@dataclass(frozen=True)
class Series:
    """An instrument, its candles' grid in milliseconds, and the exchange's time in microseconds."""

    instrument: Instrument
    resolution: Resolution
    phase: int
    now_us: int

    @property
    def step(self) -> int:
        return self.resolution.duration // timedelta(milliseconds=1)

    @property
    def as_of(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.now_us)

    def openings(self, start: int, end: int, phase: int | None = None) -> list[int]:
        """Opening times of candles in [start, end) while the instrument is listed."""
        listed, expires = to_ms(self.instrument.listed_at), self.instrument.expires_at
        phase = self.phase if phase is None else phase
        tick, found = (start // self.step - 1) * self.step + phase, []
        while tick < end:
            is_alive = tick + self.step > listed and (not expires or tick < to_ms(expires))
            if tick >= start and is_alive:
                found.append(tick)
            tick += self.step
        return found

    def is_closed(self, tick: int) -> bool:
        return (tick + self.step) * 1_000 <= self.now_us

    def returned(self, window: TimeWindow) -> list[int]:
        """The response of an exchange without gaps, including the running candle."""
        ticks = self.openings(to_ms(window.start), to_ms(window.end))
        return [tick for tick in ticks if tick * 1_000 <= self.now_us]


@st.composite
def series(draw: st.DrawFn, length: int, resolution: Resolution) -> Series:
    """A series around BASE with `length` relevant candles."""
    step = resolution.duration // timedelta(milliseconds=1)
    reach = length * step
    listed = draw(st.one_of(st.just(BASE - 400 * DAY), st.integers(BASE - step, BASE + reach)))
    lives = draw(st.one_of(st.none(), st.integers(1, 2 * reach)))
    expires = None if lives is None else from_ms(listed + lives)
    anchor = resolution.anchor
    phases = (0, 8 * 60 * MINUTE, MINUTE)
    phase = draw(st.sampled_from(phases)) if anchor is None else anchor // timedelta(milliseconds=1)
    now = draw(st.one_of(st.just(BASE + 10 * reach), st.integers(BASE - step, BASE + 2 * reach)))
    return Series(
        Instrument("X", "future", from_ms(listed), expires),
        resolution,
        phase % step,
        now * 1_000 + draw(st.sampled_from((0, 1, 999))),
    )


OPERATIONS = ("drop", "head", "tail", "repeat", "swap", "shift", "shift_all", "add", "double",
              "reverse", "thin")  # fmt: skip


@st.composite
def operations(draw: st.DrawFn) -> list[tuple[str, int, int]]:
    count = draw(st.sampled_from((0, 1, 1, 1, 2, 3)))
    one = st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 60), st.integers(-70, 70))
    return [draw(one) for _ in range(count)]


def mutated(ticks: list[int], changes: list[tuple[str, int, int]], step: int) -> list[int]:
    """The ticks after each change, given by its kind, place and size."""
    ticks = list(ticks)
    for change, place, amount in changes:
        if not ticks:
            return [BASE + amount * step] if change == "add" else []
        at = place % len(ticks)
        match change:
            case "drop":
                del ticks[at : at + abs(amount) + 1]
            case "head":
                del ticks[:at]
            case "tail":
                del ticks[at:]
            case "repeat":
                ticks.insert(at, ticks[at])
            case "swap":
                other = (at + amount) % len(ticks)
                ticks[at], ticks[other] = ticks[other], ticks[at]
            case "shift":
                ticks[at] += amount * 1_000
            case "shift_all":
                ticks = [tick + amount * MINUTE for tick in ticks]
            case "add":
                ticks = sorted([*ticks, ticks[-1] + amount * step + place % 2])
            case "double":
                ticks = ticks + ticks
            case "reverse":
                ticks.reverse()
            case "thin":
                ticks = ticks[:: place % 4 + 1]
    return [max(tick, 0) for tick in ticks]


def candles_of(ticks: list[int]) -> Candles:
    """Candles whose values encode their row and column."""
    values = np.arange(1.0, 6 * len(ticks) + 1).reshape(len(ticks), 6)
    return Candles(np.array(ticks, dtype="datetime64[ms]"), values)


def ticks_of(moments: Moments) -> list[int]:
    ticks: list[int] = moments.astype(np.int64).tolist()
    return ticks
