"""The candles that a day's trades make, and how they compare with the exchange's."""

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
    """How many candles of a day both have, and which differ: minute and what, in order."""

    compared: int
    differing: list[tuple[str, str]]


def made_candles(
    connection: Connection, instrument_name: str, day: date
) -> dict[str, NDArray[Any]]:
    """The candles of a day as its trades make them, by column of the table `candles_rebuilt`."""
    parameters = _parameters(connection, instrument_name, day)
    rows = connection.execute(MADE, parameters).fetchnumpy()
    return {
        "opened_at": rows["opened_at"].astype("datetime64[ms]"),
        **{name: np.ma.filled(rows[name].astype(float), np.nan) for name in CANDLE_VALUES},
        "trades": rows["trades"].astype(np.int64),
    }


def minutes(connection: Connection, instrument_name: str, day: date) -> NDArray[Any]:
    """When the candles of a day open, up to the expiry."""
    parameters = _parameters(connection, instrument_name, day)
    rows = connection.execute(MINUTES, parameters).fetchnumpy()
    return np.asarray(rows["opened_at"]).astype("datetime64[ms]")


def comparison(connection: Connection, instrument_name: str, day: date) -> Comparison:
    """The candles of a day as its trades make them, held against those that the exchange told."""
    parameters = _parameters(connection, instrument_name, day)
    for ways in (WHOLE, WAYS):  # that all are counted in is most likely, and far less work
        rows = connection.execute(compared(ways), parameters).fetchall()
        differing = [(minute, said) for minute, said in rows if said]
        if not differing:
            break
    return Comparison(len(rows), differing)


def _parameters(connection: Connection, instrument_name: str, day: date) -> dict[str, object]:
    """Instrument and day, and the time of the trades that its candles are made of."""
    former = former_day(connection, instrument_name, day)
    return {
        "instrument_name": instrument_name,
        "day": day,
        "start": day_window(former).start,
        "end": day_window(day).end,
    }
