"""Files that freqtrade reads as its history, in its format `feather`, as FeatherDataHandler of
freqtrade 2026.9 expects them. Pass the folder to `freqtrade --datadir`."""

import re
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

_FUTURE = re.compile(r"([A-Z0-9]+)(?:_([A-Z0-9]+))?-(?:PERPETUAL|(\d{1,2}[A-Z]{3}\d{2}))")
_SPOT = re.compile(r"([A-Z0-9]+)_([A-Z0-9]+)")


def write_freqtrade(part: Part, folder: Path) -> None:
    """Write candles, with the volume in base currency, or hourly funding rates.

    Raises InputError for candles that freqtrade would shift in time, and for numbers it cannot
    represent.
    """
    file = folder / _file_name(part.dataset, part.series)
    frame = part.frame()
    if resolution := part.dataset.resolution:
        _require_its_grid(frame, part.series, resolution)
    columns = _CANDLES if resolution else _FUNDING
    require_finite(frame, list(columns)[1:], part, "freqtrade")
    frame = frame.reset_index().rename(columns=columns)[list(columns.values())]
    file.parent.mkdir(exist_ok=True)
    frame.assign(date=frame["date"].dt.as_unit("ms")).to_feather(
        file, compression="lz4", compression_level=9
    )


def require_fit(dataset: Dataset, series: str) -> None:
    """Raise InputError for datasets and series that freqtrade cannot represent."""
    if not dataset.resolution and dataset is not FUNDING_RATES:
        raise InputError(
            "freqtrade is for candles and funding rates: export other datasets as parquet.",
            about="format",
        )
    _file_name(dataset, series)


def _file_name(dataset: Dataset, series: str) -> str:
    """The file name that freqtrade gives a pair; pairs are named as in ccxt, such as
    BTC/USD:BTC."""
    resolution = dataset.resolution
    if spot := _SPOT.fullmatch(series):
        if not resolution:
            raise InputError(f"{series} is a spot pair, which has no funding.")
        return f"{spot[1]}_{spot[2]}-{resolution.label}.feather"
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
    kind = f"{resolution.label}-futures" if resolution else "1h-funding_rate"
    return f"futures/{pair}-{kind}.feather"


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
