"""A Parquet data catalog for nautilus_trader, of bars and their instruments, as its BacktestNode
reads it; tested with nautilus_trader 1.221.

Written without nautilus_trader: its own wrangler truncates prices instead of rounding (42000.5
becomes 42000.49) and needs an older pandas. Numbers take 16 bytes, as in its high-precision builds,
which are the ones for Linux and macOS.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.specification import COMBO, is_inverse
from deribit_pipeline.errors import InputError
from deribit_pipeline.export.nautilus_instruments import (
    SIZE_DECIMALS,
    folder_of,
    instrument_id,
    instrument_of,
    write_instrument,
)
from deribit_pipeline.export.part import Part, refuse, require_finite

_PRECISION = "price_precision"
_BYTES, _DECIMALS = 16, 16

# Prices have the decimals of the instrument's price increment, or as many as they need if these are
# more, but at most this many.
_MOST_PRICE_DECIMALS = 9

# The largest price and quantity of nautilus_trader 1.221 in high precision: PRICE_MAX, whose bound
# also holds for negative prices, and QUANTITY_MAX.
_MOST_PRICE, _MOST_VOLUME = 17_014_118_346_046.0, 34_028_236_692_093.0

# Up to this many decimals, a number times a power of ten fits in a 64-bit integer.
_MOST_WHOLE = 2.0**62

_PRICES = ("open", "high", "low", "close")

_ROWS_PER_GROUP, _ROWS_AT_ONCE = 5_000, 60_000


def write_nautilus(part: Part, folder: Path) -> list[Path]:
    """Write the instrument, and candles as bars, stamped with their end. The volume is in the
    currency of the instrument's amounts: USD for inverse futures, else the base currency.

    Raises InputError for numbers that nautilus_trader cannot represent, and UnknownSpecification.
    """
    resolution = part.dataset.resolution
    assert resolution is not None  # require_fit has checked it
    volume = "volume_quote" if is_inverse(part.series) else "volume_base"
    with part.reading(folder, _ROWS_AT_ONCE) as (connection, read):
        if not part.count:
            return []
        needed = _decimals(_checked(frame, volume, part) for frame in read())
        instrument = instrument_of(part, connection)
        decimals = max(instrument.price_decimals, needed)
        bars = _write_bars(part.series, resolution, read(), volume, decimals, folder)
    return [bars, write_instrument(instrument, decimals, folder)]


def _checked(frame: Any, volume: str, part: Part) -> NDArray[np.float64]:
    """The prices, of shape (n, 4). Raises InputError for numbers that nautilus_trader cannot
    represent."""
    require_finite(frame, [*_PRICES, volume], part, "nautilus_trader")
    _require_within(frame, volume, part)
    return np.asarray(frame[list(_PRICES)])


def _write_bars(
    series: str,
    resolution: Resolution,
    frames: Iterator[Any],
    volume: str,
    decimals: int,
    folder: Path,
) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    bar_type = f"{instrument_id(series)}-{_specification(resolution)}-LAST-EXTERNAL"
    number, moment = pa.binary(_BYTES), pa.uint64()
    types = dict.fromkeys((*_PRICES, "volume"), number) | {"ts_event": moment, "ts_init": moment}
    schema = pa.schema(
        [pa.field(name, type_, nullable=False) for name, type_ in types.items()],
        metadata={
            "bar_type": bar_type,
            "instrument_id": instrument_id(series),
            _PRECISION: str(decimals),
            "size_precision": str(SIZE_DECIMALS),
        },
    )
    place = folder / folder_of("bar", bar_type)
    place.mkdir(parents=True)
    written = place / "bars.parquet"
    ends: list[int] = []
    with pq.ParquetWriter(written, schema) as writer:
        for frame in frames:
            ended_ns = (frame.index + resolution.duration).as_unit("ns").asi8
            ends += [ended_ns[0], ended_ns[-1]]
            ended = pa.array(ended_ns.astype(np.uint64))
            columns = {name: _fixed(frame[name].to_numpy(), decimals) for name in _PRICES}
            columns["volume"] = _fixed(frame[volume].to_numpy(), SIZE_DECIMALS)
            columns |= {"ts_event": ended, "ts_init": ended}
            writer.write_table(pa.table(columns, schema=schema), row_group_size=_ROWS_PER_GROUP)
    return written.rename(place / f"{_named(ends[0])}_{_named(ends[-1])}.parquet")


def require_fit(dataset: Dataset, series: str) -> None:
    """Raise InputError for anything but candles of single instruments."""
    if not dataset.resolution:
        raise InputError(
            "nautilus is for candles: export other datasets as parquet.", about="format"
        )
    if re.match(COMBO, series):
        raise InputError(
            f"{series} is a combo, of which nautilus_trader has no instrument: export it as "
            "parquet or csv."
        )


def require_whole(folder: Path) -> None:
    """Raise InputError for a catalog in which bars of an instrument have prices of different
    precision: nautilus_trader refuses those that differ from the instrument's."""
    import pyarrow.parquet as pq

    found: dict[str, set[int]] = {}
    for file in folder.glob("data/bar/*/*.parquet"):
        metadata = pq.read_schema(file).metadata
        name = metadata[b"instrument_id"].decode()
        found.setdefault(name, set()).add(int(metadata[_PRECISION.encode()]))
    for name, decimals in found.items():
        if len(decimals) > 1:
            raise InputError(
                f"Bars of {name} in the folder and in this export have prices of "
                f"{min(decimals)} and {max(decimals)} decimals, which nautilus_trader refuses in "
                "one catalog: export them to another folder."
            )


def _specification(resolution: Resolution) -> str:
    minutes = resolution.duration // timedelta(minutes=1)
    if resolution is Resolution.DAY_1:
        return "1-DAY"
    return f"{minutes // 60}-HOUR" if minutes >= 60 else f"{minutes}-MINUTE"


def _decimals(parts: Iterable[NDArray[np.float64]]) -> int:
    """The number of decimals that all of these prices need."""
    enough = list(range(_MOST_PRICE_DECIMALS))
    for prices in parts:
        enough = [each for each in enough if np.array_equal(np.round(prices, each), prices)]
    return min(enough, default=_MOST_PRICE_DECIMALS)


def _require_within(frame: Any, volume: str, part: Part) -> None:
    """Raise InputError for a number outside nautilus_trader's range."""
    for column in (*_PRICES, volume):
        is_volume = column == volume
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
