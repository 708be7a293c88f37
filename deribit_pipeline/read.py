"""The warehouse's rows as frames, for research: proved complete unless told otherwise.

    from deribit_pipeline import read

    read.candles("BTC-PERPETUAL", "2024-01-01", "2024-01-31", "60")

`start` and `end` are UTC. A day (a date, or text such as 2024-01-31) is meant whole, the last one
too, as on the command line; an instant (a datetime, or text with a time) is where to begin, or
where to stop before. A datetime without a time zone is UTC.

`frame` is "pandas" (indexed by instant), "arrow" or "polars", sorted in any case. `warehouse` is
written as DERIBIT_WAREHOUSE is: a file, or `ducklake:postgres:…`, whose Parquet files are where
DERIBIT_WAREHOUSE_DATA says; if none is given, it is the one that DERIBIT_WAREHOUSE names. A file is
opened to read, once the arguments are checked, and closed before the frame is handed back: writers
wait for a moment.

Every function raises IncompleteDays, which names the days, where one that the window touches is
not proved complete; with `complete_only=False` it hands back what is held. Days before a listing
lack nothing, unless there are no others. Where rows of a day with a verdict are read, such as one
that disagrees with the exchange's coarser candles, a VerdictWarning says so. InputError says what
is wrong with an argument, WarehouseError what with the warehouse.
"""

import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.candles import series as candle_series
from deribit_pipeline.datasets.candles.known import EVERYTHING, known_at
from deribit_pipeline.datasets.funding_rates import FUNDING_RATES
from deribit_pipeline.datasets.registry import warning_of
from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.datasets.volatility_index import VOLATILITY_INDEX
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.windows import ONE_DAY, TimeWindow, day_window, spans_of
from deribit_pipeline.engine import reader_arguments as asked
from deribit_pipeline.engine import selected_series as series
from deribit_pipeline.engine.reader_arguments import Moment
from deribit_pipeline.engine.selected_series import Excerpt
from deribit_pipeline.errors import IncompleteDays, InputError, WarehouseError
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse import frames
from deribit_pipeline.warehouse.frames import FrameKind
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

__all__ = [
    "IncompleteDays",
    "InputError",
    "VerdictWarning",
    "WarehouseError",
    "candles",
    "funding",
    "historical_prices",
    "realised_volatility",
    "trades",
    "volatility_index",
]


class VerdictWarning(UserWarning):
    """Rows were read of a day with a verdict, such as one on which candles disagree with the
    exchange's coarser ones."""


Frame: TypeAlias = Any
"""A pandas.DataFrame, pyarrow.Table or polars.DataFrame, as was asked."""


def candles(
    instrument: str,
    start: Moment,
    end: Moment,
    resolution: str = "1",
    *,
    as_of: Moment | None = None,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Path | str | None = None,
) -> Frame:
    """The candles that open in the window: opened_at, open, high, low, close (quote currency),
    volume_base, volume_quote.

    `resolution` is in Deribit's spelling: 1, 3, 5, 10, 15, 30, 60, 120, 180, 360, 720 (minutes)
    or 1D. On each UTC day of which candles of that resolution are held and complete, they are as
    the exchange told them; on any other, they are made of its one-minute candles where those are.
    Those of 1D open at 08:00; those of 180, 360 and 720 as held ones of the instrument do, and
    where there are none, counted from 00:00, which is not known to be right
    (assumption:candles-anchor-180, …-360, …-720). A candle made of minutes counts those without a
    trade in, which repeat the last close.

    With `as_of`, they are as they were known then, by the exchange's clock: what it told later is
    left out, what it has changed since is as it was. What is complete is judged by today.

    The `attrs` of a pandas frame say, as spans of days, which were `rolled_up` from minutes and
    which are `incomplete`, and where there are any, the `verdicts` by day.
    """
    length = asked.resolution(resolution)
    asked.require_series(CANDLES[length], instrument)
    window = asked.window(start, end)
    moment = None if as_of is None else asked.instant(as_of, "as_of")

    def select(connection: Connection, held: Warehouse) -> Excerpt:
        known = EVERYTHING
        if moment is not None:
            snapshot = held.snapshot_at(connection, moment)
            known = known_at(connection, instrument, moment, snapshot)
        return candle_series.candles(connection, instrument, length, window, known)

    return _read(select, complete_only, frame, warehouse)


def funding(
    instrument: str,
    start: Moment,
    end: Moment,
    *,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Path | str | None = None,
) -> Frame:
    """The hours of a perpetual that end in the window: funded_at (the end), interest_1h and
    interest_8h (fractions; a positive one is paid by longs), index_price, prev_index_price."""
    asked.require_series(FUNDING_RATES, instrument)
    window = asked.window(start, end)
    return _read(
        lambda connection, _: series.rows(connection, FUNDING_RATES, instrument, window),
        complete_only,
        frame,
        warehouse,
    )


def trades(
    instrument: str,
    start: Moment,
    end: Moment,
    *,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Path | str | None = None,
) -> Frame:
    """The trades of the window by `trade_seq`, with the columns of the table `trades`. Many share
    a millisecond."""
    asked.require_series(TRADES, instrument)
    window = asked.window(start, end)
    return _read(
        lambda connection, _: series.rows(connection, TRADES, instrument, window),
        complete_only,
        frame,
        warehouse,
    )


def volatility_index(
    currency: str,
    start: Moment,
    end: Moment,
    resolution: str = "3600",
    *,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Path | str | None = None,
) -> Frame:
    """The candles of a currency's DVOL that open in the window: opened_at, open, high, low, close,
    in percent a year. `resolution` is in seconds: 60 or 3600."""
    asked.require_series(VOLATILITY_INDEX, currency)
    only = {"resolution": asked.one_of(resolution, "resolution (seconds)", ("60", "3600"))}
    window = asked.window(start, end)
    return _read(
        lambda connection, _: series.rows(connection, VOLATILITY_INDEX, currency, window, only),
        complete_only,
        frame,
        warehouse,
    )


def historical_prices(
    instrument: str,
    days: int = 7,
    *,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Path | str | None = None,
) -> Frame:
    """Hourly prices of the last `days` UTC days up to the newest complete one that is held:
    opened_at, open, high, low, close and volume (base currency), from `candles` of 60 minutes."""
    asked.require_series(CANDLES[Resolution.HOUR_1], instrument)
    before = ONE_DAY // timedelta(minutes=1) * (asked.whole(days, "days") - 1)

    def select(connection: Connection, _: Warehouse) -> Excerpt:
        newest = candle_series.newest_complete_day(connection, instrument, Resolution.HOUR_1)
        if newest is None:
            raise InputError(f"The warehouse holds no complete day of {instrument}.")
        first, end = day_window(newest).start, day_window(newest).end
        window = TimeWindow(asked.earlier(first, before, f"{days} days"), end)
        found = candle_series.candles(connection, instrument, Resolution.HOUR_1, window)
        columns = "opened_at, open, high, low, close, volume_base as volume"
        return replace(found, query=f"select {columns} from ({found.query})")

    return _read(select, complete_only, frame, warehouse)


def realised_volatility(
    instrument: str,
    start: Moment,
    end: Moment,
    sampling: int = 60,
    samples: int = 24 * 30,
    *,
    complete_only: bool = True,
    frame: FrameKind = "pandas",
    warehouse: Path | str | None = None,
) -> Frame:
    """The volatility realised over `samples` candles of `sampling` minutes, for every such stretch
    that ends in the window: ended_at, close_to_close, parkinson, garman_klass, rogers_satchell,
    yang_zhang, as annualised fractions (0.65 is 65 %).

    It is the macro `realised_volatility` of the warehouse, made of one-minute candles: their days
    must be complete from where the first stretch begins, a candle earlier.
    """
    asked.require_series(CANDLES[Resolution.MINUTE_1], instrument)
    sampling, samples = asked.whole(sampling, "sampling"), asked.whole(samples, "samples")
    window = asked.window(start, end)
    what = f"{samples} samples of {sampling} minutes"
    begins = asked.earlier(window.start, sampling * (samples + 1), what)

    def select(connection: Connection, _: Warehouse) -> Excerpt:
        of_minutes = TimeWindow(begins, window.end)
        found = candle_series.candles(connection, instrument, Resolution.MINUTE_1, of_minutes)
        return replace(
            found,
            at="ended_at",
            order="ended_at",
            query="select * exclude (samples) from realised_volatility("
            "$name, $sampling, $samples, since := $start, until := $end)",
            parameters={
                "name": instrument,
                "sampling": sampling,
                "samples": samples,
                "start": window.start,
                "end": window.end,
            },
        )

    return _read(select, complete_only, frame, warehouse)


def _read(
    select: Callable[[Connection, Warehouse], Excerpt],
    complete_only: bool,
    kind: FrameKind,
    place: Path | str | None,
) -> Frame:
    frames.require_extra(kind)
    if place is not None and not isinstance(place, str | os.PathLike):
        raise InputError(
            f"warehouse must be the path of a file, or ducklake:postgres:…, was {place!r}."
        )
    settings = Settings.load(None if place is None else os.fspath(place))
    warehouse = Warehouse(settings.warehouse, settings.environment)
    if not warehouse.exists():
        raise InputError(f"{warehouse} does not exist: nothing was backfilled into it yet.")
    with warehouse.reading() as connection:
        excerpt = select(connection, warehouse)
        if complete_only:
            excerpt.require_complete()
        found = frames.frame(connection, kind, excerpt)
    verdicts = {str(proof.day): said for proof in excerpt.proofs if (said := warning_of(proof))}
    if verdicts:
        first = next(iter(verdicts))
        more = f" and {len(verdicts) - 1:,} more days" if len(verdicts) > 1 else ""
        warnings.warn(
            f"{excerpt.series} has a verdict on {first}: {verdicts[first]}{more}",
            VerdictWarning,
            stacklevel=3,
        )
    if kind == "pandas":
        found.attrs = {
            "series": excerpt.series,
            "rolled_up": _spans(excerpt.rolled_up),
            "incomplete": _spans(excerpt.lacking),
        } | ({"verdicts": verdicts} if verdicts else {})
    return found


def _spans(days: Iterable[date]) -> list[str]:
    return [series.span(first, last) for first, last in spans_of(days)]
