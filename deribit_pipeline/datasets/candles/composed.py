"""Candles of a length that the exchange does not publish, such as 4 hours or a week, aggregated
from candles of a resolution that it does."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from deribit_pipeline.datasets.candles import series
from deribit_pipeline.datasets.candles.known import EVERYTHING, Known
from deribit_pipeline.datasets.candles.reads import VALUES
from deribit_pipeline.datasets.candles.rollup import ROLLED
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.grid import Grid
from deribit_pipeline.domain.windows import END_OF_TIME, ONE_DAY, TimeWindow, from_ms
from deribit_pipeline.engine.selected_series import SelectedRows, ending
from deribit_pipeline.errors import InputError
from deribit_pipeline.warehouse.place import Connection

ONE_WEEK = 7 * ONE_DAY

_OF_LENGTH = {resolution.duration: resolution for resolution in Resolution}

# 1970-01-01 was a Thursday.
_MONDAY = timedelta(days=4)
_DAY_OPENS = Resolution.DAY_1.anchor or timedelta(0)

_COMPOSED = f"""
    select opened_at, {VALUES}
    from (
        select time_bucket(to_minutes($composed_minutes), opened_at, $composed_origin) as opened_at,
               {ROLLED}
        from ({{parts}}) as candles
        group by 1
    )
    where $composed_is_whole or held = $composed_parts
"""


def is_readable(length: timedelta) -> bool:
    """Whether candles of this length can be read: it divides a day, or is a day or a week."""
    return length == ONE_WEEK or not ONE_DAY % length


def candles_of_length(
    connection: Connection,
    instrument_name: str,
    length: timedelta,
    window: TimeWindow,
    known: Known = EVERYTHING,
) -> SelectedRows:
    """The candles that open in the window, as in `series.candles`.

    Those that the exchange does not publish are aggregated from the coarsest of its resolutions
    that is complete, and counted from 00:00 UTC; weeks are seven of its days, which open at 08:00
    UTC, and begin on a Monday. Raises InputError if none opens in the window.
    """
    if resolution := _OF_LENGTH.get(length):
        return series.candles(connection, instrument_name, resolution, window, known)
    grid = _composed_grid(length)
    if window.end == END_OF_TIME:
        window = _ending(connection, instrument_name, grid, window)
    covered = grid.covered(window)
    if covered is None:
        raise InputError(
            f"No candle opens in {window}: the next one opens at "
            f"{grid.floored(window.end) + grid.step:%Y-%m-%d %H:%M}."
        )
    found = _parts(connection, instrument_name, grid, covered, known)
    minutes = timedelta(minutes=1)
    return replace(
        found,
        query=_COMPOSED.format(parts=found.query),
        parameters={
            **found.parameters,
            "composed_minutes": length // minutes,
            "composed_origin": from_ms(0) + grid.anchor,
            "composed_is_whole": not found.incomplete and known.is_everything,
            "composed_parts": length // _resolution_of(found).duration,
        },
        proved_until=covered.end,
        incomplete={
            day: state
            if day < window.end.date()
            else f"{state}, and needed for the candle until {covered.end:%Y-%m-%d %H:%M}"
            for day, state in found.incomplete.items()
        },
    )


def grid_of(connection: Connection, instrument_name: str, length: timedelta) -> Grid:
    """When candles of a length open. Raises WarehouseError if stored ones disagree."""
    if resolution := _OF_LENGTH.get(length):
        return Grid(length, series.anchor_of(connection, instrument_name, resolution))
    return _composed_grid(length)


def _composed_grid(length: timedelta) -> Grid:
    return Grid(length, _MONDAY + _DAY_OPENS if length >= ONE_DAY else timedelta(0))


def _parts(
    connection: Connection, instrument_name: str, grid: Grid, covered: TimeWindow, known: Known
) -> SelectedRows:
    """The candles of the coarsest complete resolution that divides the length; of the one with the
    fewest incomplete days if none is complete."""
    best: SelectedRows | None = None
    for resolution in _divisors(connection, instrument_name, grid):
        found = series.candles(connection, instrument_name, resolution, covered, known)
        if best is None or len(found.incomplete) < len(best.incomplete):
            best = found
        if not best.incomplete:
            break
    assert best is not None  # one-minute candles divide every length
    return best


def _ending(
    connection: Connection, instrument_name: str, grid: Grid, window: TimeWindow
) -> TimeWindow:
    """The window until the end of the last candle that is closed, or its first day."""
    found = [
        series.candles(connection, instrument_name, resolution, window)
        for resolution in _divisors(connection, instrument_name, grid)
    ]
    end = grid.floored(max(each.proved_until for each in found))
    return TimeWindow(window.start, end) if end > window.start else ending(window, ())


def _divisors(connection: Connection, instrument_name: str, grid: Grid) -> Iterator[Resolution]:
    """The resolutions whose candles fill those of the grid, the coarsest first: of those that were
    ever requested, and one minute."""
    requested = connection.execute(
        "select distinct resolution from candle_days where instrument_name = $name",
        {"name": instrument_name},
    ).fetchall()
    for resolution in reversed(Resolution):
        anchor = resolution.anchor
        if resolution is not Resolution.MINUTE_1 and (resolution.value,) not in requested:
            continue
        if anchor is None or grid.step % resolution.duration:
            continue
        if not (grid.anchor - anchor) % resolution.duration:
            yield resolution


def _resolution_of(found: SelectedRows) -> Resolution:
    assert found.dataset.resolution is not None
    return found.dataset.resolution
