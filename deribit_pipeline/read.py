"""Rows of the warehouse as frames, for research: of proved days only, by default.

    from deribit_pipeline import read

    read.candles("BTC-PERPETUAL", "2024-01-01", "2024-01-31", "1h")

Series are one name, a list of names, or a selector of instruments, such as `kind=option
currency=BTC expiry=2024-03-29`: with one name the frame has no column for it.

`start` and `end` are UTC. A day (a date, or text such as 2024-01-31) is included whole, the last
one too, as on the command line; an instant (a datetime, or text with a time) is included as `start`
and excluded as `end`. Without `end` the rows end with the newest that is stored. A datetime without
a time zone is UTC.

`frame` is "pandas" (indexed by instant), "arrow" or "polars"; type checkers know which frame is
returned. `warehouse` is spelled like DERIBIT_WAREHOUSE: a file, or `ducklake:…`, whose
Parquet files are at DERIBIT_WAREHOUSE_DATA; the default is the value of DERIBIT_WAREHOUSE. One that
is named, there or here, is read whatever its environment is: the attributes of the frame say which.
A file is opened for reading, after the arguments are checked, and closed before the frame is
returned: writers wait only briefly.

Every function with `complete_only` raises IncompleteDays, which names the days, if a day that the
window touches is not proved complete; a day that is not over is complete up to its last closed row.
With `complete_only=False` the stored rows are returned. Days before a listing need no rows, unless
the window has no other days. Rows of a day with a verdict, such as one that disagrees with the
exchange's coarser candles, come with a VerdictWarning. With `recorded=True`, trades that the
recorder wrote and no backfill has stored yet follow the stored ones, and the column `is_proved`
distinguishes them; numbers that are missing among them come with a MissingTradesWarning. InputError
names the wrong argument, WarehouseError the reason why the warehouse cannot be read.
"""

from deribit_pipeline.errors import IncompleteDays, InputError, WarehouseError
from deribit_pipeline.reader.candle_frames import candles, historical_prices
from deribit_pipeline.reader.cone_frames import realised_against_dvol, volatility_cone
from deribit_pipeline.reader.day_frames import condition, coverage
from deribit_pipeline.reader.frame_kinds import FrameKind
from deribit_pipeline.reader.funding_frames import cumulative_funding, funding
from deribit_pipeline.reader.listing_frames import instruments
from deribit_pipeline.reader.option_frames import book_summaries, option_chain, option_smile
from deribit_pipeline.reader.price_frames import delivery_prices, index_prices
from deribit_pipeline.reader.queries import connect, sql
from deribit_pipeline.reader.reader_arguments import Moment
from deribit_pipeline.reader.reading import MissingTradesWarning, VerdictWarning
from deribit_pipeline.reader.row_frames import rows, trades
from deribit_pipeline.reader.settlement_frames import open_interest, settlements
from deribit_pipeline.reader.volatility_frames import realised_volatility, volatility_index

__all__ = [
    "FrameKind",
    "IncompleteDays",
    "InputError",
    "MissingTradesWarning",
    "Moment",
    "VerdictWarning",
    "WarehouseError",
    "book_summaries",
    "candles",
    "condition",
    "connect",
    "coverage",
    "cumulative_funding",
    "delivery_prices",
    "funding",
    "historical_prices",
    "index_prices",
    "instruments",
    "open_interest",
    "option_chain",
    "option_smile",
    "realised_against_dvol",
    "realised_volatility",
    "rows",
    "settlements",
    "sql",
    "trades",
    "volatility_cone",
    "volatility_index",
]


def __dir__() -> list[str]:
    """The functions, for completion; the types and errors are there as well."""
    return [name for name in __all__ if name.islower()]
