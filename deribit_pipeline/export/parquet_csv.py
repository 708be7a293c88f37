"""Parquet and CSV: a file for each series and month, in a folder for each series.

The name of the series is the first column of each file, and the folders are not named as Hive
does: pandas, which makes a column of a folder `instrument_name=…`, refuses files that have it too.
"""

from pathlib import Path

from deribit_pipeline.domain.dataset import SeriesKind
from deribit_pipeline.export.part import Part

_COLUMNS = {
    SeriesKind.INSTRUMENT: "instrument_name",
    SeriesKind.CURRENCY: "currency",
    SeriesKind.INDEX: "index_name",
}
_INSTANTS = "%Y-%m-%dT%H:%M:%S.%gZ"


def write_parquet(part: Part, folder: Path) -> None:
    """Write the part as Parquet, compressed with zstd; instants are UTC."""
    _copy(part, folder, "parquet", "format parquet, compression zstd")


def write_csv(part: Part, folder: Path) -> None:
    """Write the part as CSV with a header; instants are like 2024-01-31T08:00:00.000Z."""
    _copy(part, folder, "csv", f"format csv, header, timestampformat '{_INSTANTS}'")


def _copy(part: Part, folder: Path, ending: str, options: str) -> None:
    file = folder / part.series / f"{part.dataset.name}-{part.window.start:%Y-%m}.{ending}"
    part.copy(file, _COLUMNS[part.dataset.series], options)
