"""Read stored candles on an open connection."""

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.domain.candles import CANDLE_VALUES, Candles, Resolution
from deribit_pipeline.domain.windows import TimeWindow
from deribit_pipeline.engine.row_reads import rows_within
from deribit_pipeline.warehouse.place import Connection

VALUES = ", ".join(CANDLE_VALUES)
SERIES = "instrument_name = $instrument_name and resolution = $resolution"


def candles(
    connection: Connection, instrument_name: str, resolution: Resolution, window: TimeWindow
) -> Candles:
    """The stored candles that open in the window, sorted by time."""
    return Candles.of(rows_within(connection, CANDLES[resolution], instrument_name, window))


def series_parameters(instrument_name: str, resolution: Resolution) -> dict[str, object]:
    """The parameters of `SERIES`."""
    return {"instrument_name": instrument_name, "resolution": resolution.value}
