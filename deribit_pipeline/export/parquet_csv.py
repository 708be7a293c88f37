"""Parquet and CSV: one file per series and month, one folder per series.

The series name is the first column of each file, and folders are not named in Hive style: pandas
turns a folder `instrument_name=…` into a column and then refuses files that already have it.
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


def write_parquet(part: Part, folder: Path) -> list[Path]:
    """Write the part as Parquet, compressed with zstd; instants are UTC."""
    return _copy(part, folder, "parquet", "format parquet, compression zstd")


def write_csv(part: Part, folder: Path) -> list[Path]:
    """Write the part as CSV with a header; instants are like 2024-01-31T08:00:00.000Z."""
    return _copy(part, folder, "csv", f"format csv, header, timestampformat '{_INSTANTS}'")


def _copy(part: Part, folder: Path, ending: str, options: str) -> list[Path]:
    file = folder / part.series / f"{part.dataset.name}-{part.window.start:%Y-%m}.{ending}"
    part.copy(file, _COLUMNS[part.dataset.series], options)
    return [file]
