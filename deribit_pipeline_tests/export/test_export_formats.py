"""Exports for freqtrade and nautilus_trader: files as these programs read them."""

import importlib.util
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deribit_pipeline import read
from deribit_pipeline.datasets.funding_rates.table import TABLE as FUNDING_RATES
from deribit_pipeline.export import freqtrade
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.export.test_export import (
    BTC,
    DAYS,
    NEW_YEAR,
    SOL,
    Export,
    everything,
    export,
    prove,
)
from deribit_pipeline_tests.helpers.inserted_rows import hold, hold_minutes

__all__ = ["export"]  # a fixture


def test_what_a_format_has_no_place_for_is_refused_before_anything_is_read(
    export: Export, sound: Warehouse
) -> None:
    sound.location.write_text("what cannot be opened")
    for dataset, name in (("trades", "freqtrade"), ("funding_rates", "nautilus")):
        requested = ("--dataset", dataset, "--instruments", BTC, *NEW_YEAR)
        assert "is for candles" in export(*requested, name=name)[1]
    requested = ("--instruments", f"{BTC},BTC-27DEC24-50000-C", *NEW_YEAR)
    assert "is an option or a combo" in export(*requested, name="freqtrade")[1]


def test_freqtrade_is_given_its_pairs(export: Export) -> None:
    assert (
        export("--instruments", f"{BTC},{SOL}", *DAYS, "--resolution", "5", name="freqtrade")[0]
        == 0
    )
    assert set(everything("out")) == {
        "futures/BTC_USD_BTC-5m-futures.feather",
        "futures/SOL_USDC_USDC-5m-futures.feather",
    }
    found = pd.read_feather("out/futures/BTC_USD_BTC-5m-futures.feather")
    returned = read.candles(BTC, "2024-04-07", "2024-04-09", "5")
    assert list(found.columns) == ["date", "open", "high", "low", "close", "volume"]
    assert str(found["date"].dtype) == "datetime64[ms, UTC]"
    assert (found["date"].dt.as_unit("us").array == returned.index.array).all()
    assert found["volume"].tolist() == returned["volume_base"].tolist()


@pytest.mark.parametrize("rows", [65_536, 1_000])
def test_batches_make_the_file_that_pandas_writes(
    export: Export, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(freqtrade, "_ROWS_PER_BATCH", rows)
    assert export("--instruments", BTC, *DAYS, name="freqtrade")[0] == 0
    written = Path("out/futures/BTC_USD_BTC-1m-futures.feather")
    frame = pd.read_feather(written)
    assert len(frame) == 3 * 1_440
    frame.to_feather("whole.feather", compression="lz4", compression_level=9, chunksize=rows)
    assert written.read_bytes() == Path("whole.feather").read_bytes()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("BTC-27DEC24", "futures/BTC_USD_BTC-241227-1h-futures.feather"),
        ("ETH_USDC-5JAN24", "futures/ETH_USDC_USDC-240105-1h-futures.feather"),
        ("ETH_USDC", "ETH_USDC-1h.feather"),
    ],
)
def test_freqtrade_names_futures_and_spot_as_ccxt_does(
    export: Export, sound: Warehouse, name: str, file: str
) -> None:
    hold_minutes(sound, name, date(2024, 1, 1), np.full((1_440, 4), 2_000.0))
    assert export("--instruments", name, *NEW_YEAR, "--resolution", "60", name="freqtrade")[0] == 0
    assert set(everything("out")) == {file}


def test_freqtrade_knows_no_options(export: Export, sound: Warehouse) -> None:
    hold_minutes(sound, "BTC-27DEC24-50000-C", date(2024, 1, 1), np.full((1_440, 4), 0.05))
    code, output = export("--instruments", "BTC-27DEC24-50000-C", *NEW_YEAR, name="freqtrade")
    assert (code, "is an option or a combo" in output, Path("out").exists()) == (2, True, False)


def test_freqtrade_is_given_hourly_funding(export: Export, sound: Warehouse) -> None:
    hours = [datetime(2024, 1, 1, hour, tzinfo=UTC) for hour in range(3)]
    rows = [
        {"instrument_name": BTC, "funded_at": hour, "interest_1h": hour.hour / 1e6}
        for hour in hours
    ]
    hold(sound, FUNDING_RATES, *rows)
    prove(sound, "funding_rates", BTC)
    output = export("--dataset", "funding_rates", "--instruments", BTC, *NEW_YEAR, name="freqtrade")
    assert output[0] == 0
    found = pd.read_feather("out/futures/BTC_USD_BTC-1h-funding_rate.feather")
    assert found["funding_rate"].tolist() == [0.0, 1e-6, 2e-6]
    assert found["date"].tolist() == hours


@pytest.mark.skipif(not importlib.util.find_spec("freqtrade"), reason="is not installed")
def test_freqtrade_reads_its_files(export: Export) -> None:
    from freqtrade.data.history.datahandlers import get_datahandler
    from freqtrade.enums import CandleType

    export("--instruments", BTC, *DAYS, "--resolution", "5", name="freqtrade")
    handler = get_datahandler(Path("out"), "feather")
    returned = read.candles(BTC, "2024-04-07", "2024-04-09", "5")
    found = handler.ohlcv_load("BTC/USD:BTC", "5m", CandleType.FUTURES)
    assert found["close"].tolist() == returned["close"].tolist()
