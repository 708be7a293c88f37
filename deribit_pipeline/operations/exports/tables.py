"""Parquet and CSV: a file for each series and month, in folders named as Hive does."""

from pathlib import Path

from deribit_pipeline.datasets import SeriesKind
from deribit_pipeline.operations.exports.part import Part

_COLUMNS = {
    SeriesKind.INSTRUMENT: "instrument_name",
    SeriesKind.CURRENCY: "currency",
    SeriesKind.INDEX: "index_name",
}
_INSTANTS = "%Y-%m-%dT%H:%M:%S.%gZ"


def write_parquet(part: Part, folder: Path) -> None:
    """Write the part as Parquet, compressed with zstd; instants are UTC."""
    part.copy(_file(part, folder, "parquet"), "format parquet, compression zstd")


def write_csv(part: Part, folder: Path) -> None:
    """Write the part as CSV with a header; instants are like 2024-01-31T08:00:00.000Z."""
    part.copy(_file(part, folder, "csv"), f"format csv, header, timestampformat '{_INSTANTS}'")


def _file(part: Part, folder: Path, ending: str) -> Path:
    """Where the part goes; the name of its series is in the path, and not in the file."""
    of_series = f"{_COLUMNS[part.dataset.series]}={part.series}"
    of_month = f"month={part.window.start:%Y-%m}"
    return folder / of_series / of_month / f"{part.dataset.name}.{ending}"
