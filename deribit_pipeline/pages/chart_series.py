"""What a chart draws of one instrument: candles by level of zoom, and the states of its days."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.proofs import DayState, Proof
from deribit_pipeline.domain.windows import TimeWindow, day_window, days_between, from_ms, to_ms
from deribit_pipeline.pages.page import UNREQUESTED, words


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """The data drawn for one instrument and resolution.

    `candles` last `length` each, the resolution's or a longer one, and are rolled up from `held`
    candles each, shape (n,). `finer` are shown when zoomed. `proofs` are those of the window's days
    that were requested.
    """

    instrument_name: str
    resolution: Resolution
    window: TimeWindow
    length: timedelta
    candles: Candles
    held: NDArray[np.int64]
    proofs: Mapping[date, Proof]
    finer: Sequence["Level"] = ()

    @property
    def levels(self) -> "list[Level]":
        """All candles to draw, the longest first."""
        return [Level(self.length, self.candles, self.held), *self.finer]


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """Candles of one length, for one level of zoom, and how many each is rolled up from."""

    length: timedelta
    candles: Candles
    held: NDArray[np.int64]


def days_of(window: TimeWindow) -> tuple[date, date]:
    return window.start.date(), (window.end - timedelta(microseconds=1)).date()


def states_of(one: Series) -> Iterator[tuple[date, str]]:
    """Every day of the window, with its state."""
    for day in days_between(*days_of(one.window)):
        yield day, one.proofs[day].state if day in one.proofs else UNREQUESTED


def rows_of(one: Series) -> Iterator[tuple[object, ...]]:
    states = dict(states_of(one))
    for level in one.levels:
        length = level.length // timedelta(milliseconds=1)
        expected = level.length // one.resolution.duration
        for opened, values, held in zip(
            level.candles.opened_at.astype(int).tolist(),
            level.candles.values.tolist(),
            level.held.tolist(),
            strict=True,
        ):
            first = from_ms(opened)
            last = first + level.length - timedelta(milliseconds=1)
            days = days_between(first.date(), last.date())
            seen = dict.fromkeys(states[day] for day in days if day in states)
            yield opened, *values, held, expected, words(", ".join(seen)), length


def spans_of(one: Series) -> Iterator[tuple[object, ...]]:
    """Runs of consecutive days in one state that is not complete."""
    for state, some in groupby(states_of(one), lambda day: day[1]):
        days = [day for day, _ in some]
        if state == DayState.COMPLETE:
            continue
        first, last = days[0], days[-1]
        missing = sum(one.proofs[day].missing for day in days if day in one.proofs)
        yield (
            to_ms(day_window(first).start), to_ms(day_window(last).end), state, words(state),
            f"{first}" if first == last else f"{first} to {last}", missing,
        )  # fmt: skip
