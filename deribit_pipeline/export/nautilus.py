"""A Parquet data catalog of bars for nautilus_trader, tested with nautilus_trader 1.221.

Written without nautilus_trader: its own wrangler truncates prices instead of rounding (42000.5
becomes 42000.49) and needs an older pandas. Numbers take 16 bytes, as in its high-precision builds,
which are the ones for Linux and macOS.
"""

from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.errors import InputError
from deribit_pipeline.export.part import Part, refuse, require_finite

_VENUE = "DERIBIT"
_BYTES, _DECIMALS = 16, 16

# The number of decimals of prices is derived from the prices, and rounded to at most this many;
# volumes, which are sums, keep this many.
_MOST_PRICE_DECIMALS, _VOLUME_DECIMALS = 9, 8

# The largest price and quantity of nautilus_trader 1.221 in high precision: PRICE_MAX, whose bound
# also holds for negative prices, and QUANTITY_MAX.
_MOST_PRICE, _MOST_VOLUME = 17_014_118_346_046.0, 34_028_236_692_093.0

# Up to this many decimals, a number times a power of ten fits in a 64-bit integer.
_MOST_WHOLE = 2.0**62

_PRICES = ("open", "high", "low", "close")

_ROWS_PER_GROUP = 5_000


def write_nautilus(part: Part, folder: Path) -> list[Path]:
    """Write candles as bars, stamped with their end, with the volume in base currency.

    Raises InputError for numbers that nautilus_trader cannot represent.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    resolution = part.dataset.resolution
    assert resolution is not None  # require_fit has checked it
    frame = part.frame()
    if frame.empty:
        return []
    require_finite(frame, [*_PRICES, "volume_base"], part, "nautilus_trader")
    _require_within(frame, part)
    prices = frame[list(_PRICES)].to_numpy()
    decimals = _decimals(prices)
    ended = (frame.index + resolution.duration).as_unit("ns").asi8
    instrument_id = f"{part.series}.{_VENUE}"
    bar_type = f"{instrument_id}-{_specification(resolution)}-LAST-EXTERNAL"
    columns = {name: _fixed(prices[:, number], decimals) for number, name in enumerate(_PRICES)}
    columns["volume"] = _fixed(frame["volume_base"].to_numpy(), _VOLUME_DECIMALS)
    columns |= {name: pa.array(ended.astype(np.uint64)) for name in ("ts_event", "ts_init")}
    schema = pa.schema(
        [pa.field(name, values.type, nullable=False) for name, values in columns.items()],
        metadata={
            "bar_type": bar_type,
            "instrument_id": instrument_id,
            "price_precision": str(decimals),
            "size_precision": str(_VOLUME_DECIMALS),
        },
    )
    file = folder / "data" / "bar" / bar_type / f"{_named(ended[0])}_{_named(ended[-1])}.parquet"
    file.parent.mkdir(parents=True)
    pq.write_table(pa.table(columns, schema=schema), file, row_group_size=_ROWS_PER_GROUP)
    return [file]


def require_fit(dataset: Dataset, series: str) -> None:
    """Raise InputError for anything but candles."""
    if not dataset.resolution:
        raise InputError(
            "nautilus is for candles: export other datasets as parquet.", about="format"
        )


def _specification(resolution: Resolution) -> str:
    minutes = resolution.duration // timedelta(minutes=1)
    if resolution is Resolution.DAY_1:
        return "1-DAY"
    return f"{minutes // 60}-HOUR" if minutes >= 60 else f"{minutes}-MINUTE"


def _decimals(prices: NDArray[np.float64]) -> int:
    """The number of decimals that the prices need."""
    return next(
        (
            decimals
            for decimals in range(_MOST_PRICE_DECIMALS)
            if np.array_equal(np.round(prices, decimals), prices)
        ),
        _MOST_PRICE_DECIMALS,
    )


def _require_within(frame: Any, part: Part) -> None:
    """Raise InputError for a number outside nautilus_trader's range."""
    for column in (*_PRICES, "volume_base"):
        is_volume = column == "volume_base"
        most = _MOST_VOLUME if is_volume else _MOST_PRICE
        values = frame[column].to_numpy()
        beyond = (values > most) | (values < (0.0 if is_volume else -most))
        if beyond.any():
            refuse(frame, column, int(beyond.argmax()), part, "nautilus_trader")


def _fixed(values: NDArray[np.float64], decimals: int) -> Any:
    """The values as 16-byte little-endian integers, in units of 10 ** -16."""
    import pyarrow as pa

    unit = 10 ** (_DECIMALS - decimals)
    if len(values) and np.abs(values).max() * 10**decimals > _MOST_WHOLE:
        whole = [round(Fraction(value) * 10**decimals) for value in values.tolist()]
    else:
        whole = np.rint(values * 10**decimals).astype(np.int64).tolist()
    raw = b"".join((number * unit).to_bytes(_BYTES, "little", signed=True) for number in whole)
    return pa.Array.from_buffers(pa.binary(_BYTES), len(whole), [None, pa.py_buffer(raw)])


def _named(moment_ns: int) -> str:
    """An instant as file names contain it: 2024-01-01T00-01-00-000000000Z."""
    return str(np.datetime64(int(moment_ns), "ns")).replace(":", "-").replace(".", "-") + "Z"
