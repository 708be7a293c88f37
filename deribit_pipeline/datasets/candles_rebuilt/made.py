"""Candles rebuilt from a day's trades, and their comparison with the published ones."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.datasets.candles_rebuilt.former_trades import former_day
from deribit_pipeline.datasets.candles_rebuilt.queries import MADE, MINUTES, WAYS, WHOLE, compared
from deribit_pipeline.domain.candles import CANDLE_VALUES
from deribit_pipeline.domain.windows import day_window
from deribit_pipeline.warehouse.place import Connection


@dataclass(frozen=True, slots=True)
class Comparison:
    """The number of candles of a day that both have; minute and difference of those that differ."""

    compared: int
    differing: list[tuple[str, str]]


def made_candles(
    connection: Connection, instrument_name: str, day: date
) -> dict[str, NDArray[Any]]:
    """The rebuilt candles of a day, by column of the table `candles_rebuilt`."""
    parameters = _parameters(connection, instrument_name, day)
    rows = connection.execute(MADE, parameters).fetchnumpy()
    return {
        "opened_at": rows["opened_at"].astype("datetime64[ms]"),
        **{name: np.ma.filled(rows[name].astype(float), np.nan) for name in CANDLE_VALUES},
        "trades": rows["trades"].astype(np.int64),
    }


def minutes(connection: Connection, instrument_name: str, day: date) -> NDArray[Any]:
    """The opening times of a day's candles, up to the expiry."""
    parameters = _parameters(connection, instrument_name, day)
    rows = connection.execute(MINUTES, parameters).fetchnumpy()
    return np.asarray(rows["opened_at"]).astype("datetime64[ms]")


def comparison(connection: Connection, instrument_name: str, day: date) -> Comparison:
    """Compare the rebuilt candles of a day with the published ones."""
    parameters = _parameters(connection, instrument_name, day)
    for ways in (WHOLE, WAYS):  # counting all trades is the most likely way, and far cheaper
        rows = connection.execute(compared(ways), parameters).fetchall()
        differing = [(minute, difference) for minute, difference in rows if difference]
        if not differing:
            break
    return Comparison(len(rows), differing)


def _parameters(connection: Connection, instrument_name: str, day: date) -> dict[str, object]:
    """Instrument, day, and the window of the trades from which its candles are rebuilt."""
    former = former_day(connection, instrument_name, day)
    return {
        "instrument_name": instrument_name,
        "day": day,
        "start": day_window(former).start,
        "end": day_window(day).end,
    }
