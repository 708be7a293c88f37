"""Rows of the warehouse as frames, for research: of proved days only, by default.

    from deribit_pipeline import read

    read.candles("BTC-PERPETUAL", "2024-01-01", "2024-01-31", "60")

`start` and `end` are UTC. A day (a date, or text such as 2024-01-31) is included whole, the last
one too, as on the command line; an instant (a datetime, or text with a time) is included as `start`
and excluded as `end`. A datetime without a time zone is UTC.

`frame` is "pandas" (indexed by instant), "arrow" or "polars"; type checkers know which frame is
returned. `warehouse` is spelled like DERIBIT_WAREHOUSE: a file, or `ducklake:postgres:…`, whose
Parquet files are at DERIBIT_WAREHOUSE_DATA; the default is the value of DERIBIT_WAREHOUSE. A file
is opened for reading, after the arguments are checked, and closed before the frame is returned:
writers wait only briefly.

Every function raises IncompleteDays, which names the days, if a day that the window touches is not
proved complete; with `complete_only=False` it returns the stored rows. Days before a listing need
no rows, unless the window has no other days. Rows of a day with a verdict, such as one that
disagrees with the exchange's coarser candles, come with a VerdictWarning. InputError names the
wrong argument, WarehouseError the reason why the warehouse cannot be read.
"""

from deribit_pipeline.errors import IncompleteDays, InputError, WarehouseError
from deribit_pipeline.reader.candle_frames import candles, historical_prices
from deribit_pipeline.reader.frames import FrameKind, VerdictWarning
from deribit_pipeline.reader.reader_arguments import Moment
from deribit_pipeline.reader.row_frames import funding, rows, trades
from deribit_pipeline.reader.volatility_frames import realised_volatility, volatility_index

__all__ = [
    "FrameKind",
    "IncompleteDays",
    "InputError",
    "Moment",
    "VerdictWarning",
    "WarehouseError",
    "candles",
    "funding",
    "historical_prices",
    "realised_volatility",
    "rows",
    "trades",
    "volatility_index",
]
