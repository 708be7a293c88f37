"""Several exports in one folder: none deletes the files of another."""

import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deribit_pipeline.datasets.funding_rates.table import TABLE as FUNDING_RATES
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.export.test_export import (
    BTC,
    DAYS,
    NEW_YEAR,
    SOL,
    Export,
    everything,
    export,
    manifest,
    prove,
)
from deribit_pipeline_tests.helpers.inserted_rows import hold, hold_minutes

__all__ = ["export"]  # a fixture

HOURS = ("--resolution", "60")
FUNDING = ("--dataset", "funding_rates", "--instruments", BTC, *NEW_YEAR)
FORMATS = ("parquet", "csv", "freqtrade", "nautilus")


def hold_funding(warehouse: Warehouse) -> None:
    """Two hours of BTC-PERPETUAL's funding on the 1st of January 2024."""
    rows = [
        {
            "instrument_name": BTC,
            "funded_at": datetime(2024, 1, 1, hour, tzinfo=UTC),
            "interest_1h": hour / 1e6,
            "index_price": 42_000.5 + hour,
        }
        for hour in range(2)
    ]
    hold(warehouse, FUNDING_RATES, *rows)
    prove(warehouse, "funding_rates", BTC)


def files_are_those_of_the_manifest() -> bool:
    listed = {path for part in manifest()["parts"] for path in part["files"]}
    sizes = {file["path"]: file["bytes"] for file in manifest()["files"]}
    there = {path: len(content) for path, content in everything("out").items()}
    return listed == there.keys() and sizes == there


def test_one_datadir_of_freqtrade_has_candles_funding_and_mark_candles(
    export: Export, sound: Warehouse
) -> None:
    hold_funding(sound)
    candles = ("--instruments", f"{BTC},{SOL}", *DAYS)
    for requested in ((*candles, *HOURS), (*candles, "--resolution", "5"), FUNDING):
        assert export(*requested, name="freqtrade")[0] == 0
    pair = "futures/BTC_USD_BTC"
    assert everything("out").keys() == {
        f"{pair}-1h-futures.feather", f"{pair}-5m-futures.feather", f"{pair}-1h-mark.feather",
        f"{pair}-1h-funding_rate.feather", "futures/SOL_USDC_USDC-1h-futures.feather",
        "futures/SOL_USDC_USDC-5m-futures.feather",
    }  # fmt: skip
    assert files_are_those_of_the_manifest()
    assert {(part["dataset"], part["series"]) for part in manifest()["parts"]} == {
        ("candles_1h", BTC), ("candles_1h", SOL), ("candles_5m", BTC), ("candles_5m", SOL),
        ("funding_rates", BTC),
    }  # fmt: skip


def test_a_mark_candle_has_one_price_the_index_at_the_instant_of_the_funding(
    export: Export, sound: Warehouse
) -> None:
    hold_funding(sound)
    export(*FUNDING, name="freqtrade")
    rates, marks = (
        pd.read_feather(f"out/futures/BTC_USD_BTC-1h-{kind}.feather")
        for kind in ("funding_rate", "mark")
    )
    assert list(marks.columns) == ["date", "open", "high", "low", "close", "volume"]
    assert marks["date"].tolist() == rates["date"].tolist()
    for column in ("open", "high", "low", "close"):
        assert marks[column].tolist() == [42_000.5, 42_001.5]
    assert marks["volume"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", FORMATS)
def test_another_series_is_added(export: Export, name: str) -> None:
    export("--instruments", BTC, *DAYS, *HOURS, name=name)
    before = everything("out")
    code, output = export("--instruments", SOL, *DAYS, *HOURS, name=name)
    assert code == 0
    assert f"; {len(before)} file{'s' * (len(before) > 1)} of earlier exports kept." in output
    after = everything("out")
    assert before.items() < after.items()
    assert files_are_those_of_the_manifest()
    assert [part["series"] for part in manifest()["parts"]] == [BTC, SOL]


@pytest.mark.parametrize("name", ["freqtrade", "nautilus"])
def test_another_resolution_is_added_where_files_say_theirs(export: Export, name: str) -> None:
    export("--instruments", BTC, *DAYS, *HOURS, name=name)
    before = everything("out")
    assert export("--instruments", BTC, *DAYS, "--resolution", "5", name=name)[0] == 0
    assert before.items() < everything("out").items()
    assert files_are_those_of_the_manifest()


@pytest.mark.parametrize("name", ["parquet", "csv"])
def test_a_table_of_one_dataset_gets_no_other(export: Export, sound: Warehouse, name: str) -> None:
    """Readers of the folder would mix hours with minutes."""
    hold_funding(sound)
    export("--instruments", BTC, *DAYS, *HOURS, name=name)
    before = everything("out")
    for requested in (("--instruments", BTC, *DAYS), FUNDING):
        code, output = export(*requested, name=name)
        assert (code, everything("out")) == (2, before)
        assert "--to out holds candles_1h, and programs read all files" in output


def test_another_format_or_environment_is_refused(export: Export) -> None:
    export("--instruments", BTC, *DAYS)
    before = everything("out")
    code, output = export("--instruments", BTC, *DAYS, name="csv")
    assert (code, "an export of format parquet, and this is one of csv" in output) == (2, True)
    place = Path("out.manifest.json")
    place.write_text(place.read_text().replace('"sandbox"', '"mainnet"'))
    code, output = export("--instruments", BTC, *DAYS)
    assert (code, "of mainnet, and this is one of sandbox" in output) == (2, True)
    assert everything("out") == before


def test_another_month_is_added_to_a_table(export: Export, sound: Warehouse) -> None:
    hold_minutes(sound, "ETH-PERPETUAL", date(2023, 12, 30), np.full((4 * 1_440, 4), 2_000.0))
    for first, last in (("2023-12-30", "2023-12-31"), ("2024-01-01", "2024-01-02")):
        days = ("--start", first, "--end", last)
        assert export("--instruments", "ETH-PERPETUAL", *days)[0] == 0
    assert len(pd.read_parquet("out")) == 4 * 1_440
    assert files_are_those_of_the_manifest()


@pytest.mark.parametrize("name", FORMATS)
def test_days_that_were_exported_are_not_lost_to_a_narrower_export(
    export: Export, name: str
) -> None:
    export("--instruments", BTC, *DAYS, *HOURS, name=name)
    before = everything("out")
    narrow = ("--start", "2024-04-08", "--end", "2024-04-09")
    code, output = export("--instruments", BTC, *narrow, *HOURS, name=name)
    assert (code, everything("out")) == (2, before)
    assert "holds BTC-PERPETUAL 1h from 2024-04-07 to 2024-04-09, which this" in output
    assert "export 2024-04-07 to 2024-04-09, or name another folder" in output
    assert export("--instruments", BTC, *narrow, *HOURS, name=name, to="new")[0] == 0


def test_what_someone_has_removed_is_not_kept_nor_missed(export: Export) -> None:
    export("--instruments", BTC, *DAYS)
    shutil.rmtree("out")
    narrow = ("--start", "2024-04-08", "--end", "2024-04-08")
    assert export("--instruments", f"{BTC},{SOL}", *narrow)[0] == 0
    shutil.rmtree(f"out/{BTC}")
    assert export("--instruments", SOL, *DAYS)[0] == 0
    assert files_are_those_of_the_manifest()
    assert [part["series"] for part in manifest()["parts"]] == [SOL]


def test_two_exports_at_once_lose_nothing(export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is decided when an export is complete, not when it begins."""
    from deribit_pipeline.export import export_folder

    written = export_folder._written

    def meanwhile(*arguments: object) -> object:
        monkeypatch.setattr(export_folder, "_written", written)
        assert export("--instruments", SOL, *DAYS)[0] == 0
        return written(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(export_folder, "_written", meanwhile)
    assert export("--instruments", BTC, *DAYS)[0] == 0
    assert [part["series"] for part in manifest()["parts"]] == [BTC, SOL]
    assert files_are_those_of_the_manifest()
