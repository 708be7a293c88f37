"""Files that freqtrade reads as its history, in its format `feather`, as FeatherDataHandler of
freqtrade 2026.9 expects them. Pass the folder to `freqtrade --datadir`."""

import re
from collections.abc import Mapping
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

_FUTURE = re.compile(r"([A-Z0-9]+)(?:_([A-Z0-9]+))?-(?:PERPETUAL|(\d{1,2}[A-Z]{3}\d{2}))")
_SPOT = re.compile(r"([A-Z0-9]+)_([A-Z0-9]+)")


def write_freqtrade(part: Part, folder: Path) -> list[Path]:
    """Write candles, with the volume in base currency; or hourly funding rates, and the mark prices
    that freqtrade multiplies them by.

    The exchange publishes no history of mark prices: each mark candle has one price, the index at
    the instant of the funding. Raises InputError for candles that freqtrade would shift in time,
    and for numbers it cannot represent.
    """
    frame = part.frame()
    if resolution := part.dataset.resolution:
        _require_its_grid(frame, part.series, resolution)
        return [_write(part, frame, _CANDLES, folder / _file_name(part.series, resolution.label))]
    rates = _write(part, frame, _FUNDING, folder / _file_name(part.series, "1h", "funding_rate"))
    prices = dict.fromkeys(("open", "high", "low", "close"), frame["index_price"])
    frame = frame.assign(**prices, volume=0.0)
    return [rates, _write(part, frame, _MARK, folder / _file_name(part.series, "1h", "mark"))]


def _write(part: Part, frame: Any, columns: Mapping[str, str], file: Path) -> Path:
    """Write these columns, under freqtrade's names."""
    require_finite(frame, list(columns)[1:], part, "freqtrade")
    frame = frame.reset_index()[list(columns)].rename(columns=columns)
    file.parent.mkdir(exist_ok=True)
    frame.assign(date=frame["date"].dt.as_unit("ms")).to_feather(
        file, compression="lz4", compression_level=9
    )
    return file


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


def _require_its_grid(frame: Any, instrument_name: str, resolution: Resolution) -> None:
    """Raise InputError for candles that freqtrade would shift: it floors to multiples from 00:00
    UTC, and would treat a day that opens at 08:00 as the one from 00:00, which leaks eight hours of
    the future."""
    step = resolution.duration // timedelta(milliseconds=1)
    opened_ms = frame.index.as_unit("ms").asi8
    if (opened_ms % step).any():
        raise InputError(
            f"{resolution.label} candles of {instrument_name} do not open at multiples of their "
            "length from 00:00 UTC, as freqtrade takes them to: export shorter ones."
        )
