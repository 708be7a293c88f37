"""Aggregate candles to longer ones, inside the database."""

from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.datasets.candles.reads import SERIES, series_parameters
from deribit_pipeline.domain.candles import CANDLE_VALUES, Candles, Resolution
from deribit_pipeline.domain.windows import TimeWindow
from deribit_pipeline.warehouse.place import Connection

_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)

ROLLED = """
    arg_min(open, candles.opened_at) as open, max(high) as high, min(low) as low,
    arg_max(close, candles.opened_at) as close, fsum(volume_base) as volume_base,
    fsum(volume_quote) as volume_quote, count(*) as held
"""
"""Aggregates a group of `candles` to a longer one, with the number of its parts. That the result
equals the exchange's candle is assumption:candles-sums."""


def origin_of(resolution: Resolution) -> datetime:
    """The instant from which candles are counted: Monday 1970-01-05, for 1D at 08:00 UTC, when they
    open; for 180, 360 and 720 at 00:00, see `Resolution.anchor`."""
    return _MONDAY + (resolution.anchor or timedelta(0))


def rolled_up(
    connection: Connection,
    instrument_name: str,
    resolution: Resolution,
    window: TimeWindow,
    length: timedelta,
    origin: datetime | None = None,
) -> tuple[Candles, NDArray[np.int64]]:
    """The stored candles that open in the window, aggregated to candles of `length`, sorted by
    time; and the number of parts of each, shape (n,).

    A candle belongs to the longer one in which it opens. Longer candles are aligned to `origin`, by
    default that of the resolution.
    """
    rows = connection.execute(
        f"""
        select epoch_ms(time_bucket(to_milliseconds($length), opened_at, $origin)) as opened_at,
               {ROLLED}
        from candles
        where {SERIES} and candles.opened_at >= $start and candles.opened_at < $end
        group by 1
        order by 1
        """,
        series_parameters(instrument_name, resolution)
        | {
            "start": window.start,
            "end": window.end,
            "length": length // timedelta(milliseconds=1),
            "origin": origin or origin_of(resolution),
        },
    ).fetchnumpy()
    rolled = Candles(
        rows["opened_at"].astype("datetime64[ms]"),
        np.column_stack([rows[name] for name in CANDLE_VALUES]),
    )
    return rolled, rows["held"].astype(np.int64)
