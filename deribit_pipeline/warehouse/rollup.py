"""Candles rolled up to longer ones, inside the database."""

from datetime import timedelta

import numpy as np

from deribit_pipeline.domain import CANDLE_VALUES, Candles, Resolution, TimeWindow, to_ms
from deribit_pipeline.warehouse.reads import SERIES, Connection, series_parameters


def rolled_up(
    connection: Connection,
    instrument_name: str,
    resolution: Resolution,
    window: TimeWindow,
    step: timedelta,
) -> Candles:
    """The candles held that open in the window, as candles of `step` counted from its start.

    Open and close are the first and last of those held, volumes their sums: a candle of a stretch
    with gaps is made of what is there.
    """
    rows = connection.execute(
        f"""
        with held as (
            select *, (epoch_ms(opened_at) - $start_ms) // $step_ms as number
            from candles
            where {SERIES} and opened_at >= $start and opened_at < $end
        )
        select $start_ms + number * $step_ms as opened_at,
               arg_min(open, opened_at) as open, max(high) as high, min(low) as low,
               arg_max(close, opened_at) as close,
               sum(volume_base) as volume_base, sum(volume_quote) as volume_quote
        from held
        group by number
        order by number
        """,
        series_parameters(instrument_name, resolution)
        | {
            "start": window.start,
            "end": window.end,
            "start_ms": to_ms(window.start),
            "step_ms": step // timedelta(milliseconds=1),
        },
    ).fetchnumpy()
    return Candles(
        rows["opened_at"].astype("datetime64[ms]"),
        np.column_stack([rows[name] for name in CANDLE_VALUES]),
    )
