"""Files that freqtrade reads as its history, in its format `feather`, as FeatherDataHandler of
freqtrade 2026.9 expects them. Pass the folder to `freqtrade --datadir`."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from deribit_pipeline.datasets.funding_rates import FUNDING_RATES
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.errors import InputError
from deribit_pipeline.export.part import Part, require_finite

_CANDLES = {
    "opened_at": "date",
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "volume_base": "volume",
}
_FUNDING = {"funded_at": "date", "interest_1h": "funding_rate"}
_MARK = {
    "funded_at": "date",
    **{name: name for name in ("open", "high", "low", "close", "volume")},
}

_ROWS_PER_BATCH = 65_536  # as pandas' `to_feather` writes them

_FUTURE = re.compile(r"([A-Z0-9]+)(?:_([A-Z0-9]+))?-(?:PERPETUAL|(\d{1,2}[A-Z]{3}\d{2}))")
_SPOT = re.compile(r"([A-Z0-9]+)_([A-Z0-9]+)")


def write_freqtrade(part: Part, folder: Path) -> list[Path]:
    """Write candles, with the volume in base currency; or hourly funding rates, and the mark prices
    that freqtrade multiplies them by.

    The exchange publishes no history of mark prices: each mark candle has one price, the index at
    the instant of the funding. Raises InputError for candles that freqtrade would shift in time,
    and for numbers it cannot represent.
    """
    with part.reading(folder, _ROWS_PER_BATCH) as (_, read):
        if resolution := part.dataset.resolution:
            file = folder / _file_name(part.series, resolution.label)
            return [_write(part, _on_its_grid(read(), part.series, resolution), _CANDLES, file)]
        rates = folder / _file_name(part.series, "1h", "funding_rate")
        marks = folder / _file_name(part.series, "1h", "mark")
        return [
            _write(part, read(), _FUNDING, rates),
            _write(part, map(_with_prices, read()), _MARK, marks),
        ]


def _write(part: Part, frames: Iterator[Any], columns: Mapping[str, str], file: Path) -> Path:
    """Write these columns, under freqtrade's names, in batches as pandas' `to_feather` does."""
    import pyarrow as pa

    file.parent.mkdir(exist_ok=True)
    options = pa.ipc.IpcWriteOptions(compression=pa.Codec("lz4", compression_level=9))
    with ExitStack() as stack:
        writer = None
        for frame in frames:
            require_finite(frame, list(columns)[1:], part, "freqtrade")
            named = frame.reset_index()[list(columns)].rename(columns=columns)
            table = pa.Table.from_pandas(named.assign(date=named["date"].dt.as_unit("ms")))
            if writer is None:
                schema = _schema_of_whole(table.schema, part.count)
                writer = stack.enter_context(pa.ipc.new_file(file, schema, options=options))
            writer.write_table(table)
    return file


def _with_prices(frame: Any) -> Any:
    """Funding rates with the candles of the mark price."""
    prices = dict.fromkeys(("open", "high", "low", "close"), frame["index_price"])
    return frame.assign(**prices, volume=0.0)


def _schema_of_whole(schema: Any, count: int) -> Any:
    """The schema of a batch as that of the whole file: pandas' metadata has the number of rows."""
    described = schema.pandas_metadata
    described["index_columns"][0]["stop"] = count
    return schema.with_metadata({"pandas": json.dumps(described)})


def require_fit(dataset: Dataset, series: str) -> None:
    """Raise InputError for datasets and series that freqtrade cannot represent."""
    if not dataset.resolution and dataset is not FUNDING_RATES:
        raise InputError(
            "freqtrade is for candles and funding rates: export other datasets as parquet.",
            about="format",
        )
    if dataset.resolution:
        _file_name(series, dataset.resolution.label)
    else:
        _file_name(series, "1h", "funding_rate")


def _file_name(series: str, timeframe: str, kind: str = "futures") -> str:
    """The file name that freqtrade gives a pair; pairs are named as in ccxt, such as
    BTC/USD:BTC."""
    if spot := _SPOT.fullmatch(series):
        if kind != "futures":
            raise InputError(f"{series} is a spot pair, which has no funding.")
        return f"{spot[1]}_{spot[2]}-{timeframe}.feather"
    future = _FUTURE.fullmatch(series)
    if not future:
        raise InputError(
            f"{series} is an option or a combo, which freqtrade does not support: export it as "
            "parquet or csv."
        )
    base, quote, expiry = future.groups()
    pair = f"{base}_{quote}_{quote}" if quote else f"{base}_USD_{base}"
    if expiry:
        pair += f"-{datetime.strptime(expiry, '%d%b%y'):%y%m%d}"
    return f"futures/{pair}-{timeframe}-{kind}.feather"


def _on_its_grid(
    frames: Iterator[Any], instrument_name: str, resolution: Resolution
) -> Iterator[Any]:
    """The frames. Raises InputError for candles that freqtrade would shift: it floors to multiples
    from 00:00 UTC, and would treat a day that opens at 08:00 as the one from 00:00, which leaks
    eight hours of the future."""
    step = resolution.duration // timedelta(milliseconds=1)
    for frame in frames:
        if (frame.index.as_unit("ms").asi8 % step).any():
            raise InputError(
                f"{resolution.label} candles of {instrument_name} do not open at multiples of "
                "their length from 00:00 UTC, as freqtrade takes them to: export shorter ones."
            )
        yield frame
