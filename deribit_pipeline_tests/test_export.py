"""Exports: what other programs read, whole or not at all, and what proves it."""

import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from deribit_pipeline import read
from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.datasets import ROW_DATASETS, Dataset, SeriesKind
from deribit_pipeline.domain import Environment
from deribit_pipeline.warehouse.dataset_tables import DATASET_DAYS
from deribit_pipeline.warehouse.datasets import table_of
from deribit_pipeline.warehouse.file import Warehouse
from deribit_pipeline.warehouse.market_tables import FUNDING_RATES
from deribit_pipeline_tests.held import hold, hold_minutes

BTC, SOL = "BTC-PERPETUAL", "SOL_USDC-PERPETUAL"
DAYS = ("--start", "2024-04-07", "--end", "2024-04-09")  # what `filled` holds complete

Export = Callable[..., tuple[int, str]]


@pytest.fixture
def export(
    sound: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Export:
    """Runs `export`; answers its exit code and what it said."""
    for name in [name for name in os.environ if name.startswith("DERIBIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(sound.path.parent)
    monkeypatch.setenv("DERIBIT_ENV", Environment.SANDBOX)
    monkeypatch.setenv("DERIBIT_WAREHOUSE", str(sound.path))

    def run(*arguments: str, to: Path | str = "out", name: str = "parquet") -> tuple[int, str]:
        capsys.readouterr()
        code = exit_code(["export", *arguments, "--format", name, "--to", str(to)])
        return code, capsys.readouterr().err

    return run


def manifest() -> Any:
    return json.loads(Path("out/manifest.json").read_text())


def everything(folder: str) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in Path(folder).rglob("*")
        if file.is_file()
    }


def test_parquet_holds_what_the_reader_reads(export: Export) -> None:
    names = f"{BTC},{SOL}"
    code, said = export("--instruments", names, *DAYS, "--resolution", "60")
    assert code == 0
    assert re.search(r"out holds 144 candles in 2 files of parquet, \d\.\d MB, written in", said)
    assert set(everything("out")) == {
        "manifest.json",
        *(f"instrument_name={name}/month=2024-04/candles_1h.parquet" for name in (BTC, SOL)),
    }
    for name in (BTC, SOL):
        with duckdb.connect() as connection:
            rows = connection.execute(
                "select epoch_ms(opened_at), * exclude (opened_at, month, instrument_name) "
                "from read_parquet('out/**/*.parquet', hive_partitioning = true) "
                "where instrument_name = $name",
                {"name": name},
            ).fetchall()
        told = read.candles(name, "2024-04-07", "2024-04-09", "60")
        assert [row[0] for row in rows] == told.index.as_unit("ms").asi8.tolist()
        assert [list(row[1:]) for row in rows] == told.to_numpy().tolist()


def test_a_month_is_a_file(export: Export, sound: Warehouse) -> None:
    hold_minutes(sound, "ETH-PERPETUAL", date(2023, 12, 30), np.full((4 * 1_440, 4), 2_000.0))
    days = ("--start", "2023-12-30", "--end", "2024-01-02")
    assert export("--instruments", "ETH-PERPETUAL", *days, "--resolution", "720")[0] == 0
    files = {file.parent.name: pq.ParquetFile(file) for file in Path("out").rglob("*.parquet")}
    assert {month: file.metadata.num_rows for month, file in files.items()} == {
        "month=2023-12": 4,
        "month=2024-01": 4,
    }
    assert manifest()["rolled_up"] == [
        {"series": "ETH-PERPETUAL", "first": "2023-12-30", "last": "2023-12-31"},
        {"series": "ETH-PERPETUAL", "first": "2024-01-01", "last": "2024-01-02"},
    ]


def test_csv_says_instants_in_utc(export: Export) -> None:
    assert export("--instruments", BTC, *DAYS, name="csv")[0] == 0
    [file] = Path("out").rglob("*.csv")
    with file.open() as lines:
        header, first = next(lines), next(lines)
    assert header == "opened_at,open,high,low,close,volume_base,volume_quote\n"
    assert first.startswith("2024-04-07T00:00:00.000Z,")
    found = pd.read_csv(file, index_col="opened_at", parse_dates=True)
    told = read.candles(BTC, "2024-04-07", "2024-04-09")
    assert found.to_numpy().tolist() == told.to_numpy().tolist()
    assert found.index.as_unit("us").equals(told.index)


def test_the_manifest_says_what_proves_each_day_and_each_file(
    export: Export, sound: Warehouse
) -> None:
    assert export("--instruments", BTC, *DAYS, "--resolution", "5")[0] == 0
    said = manifest()
    with sound.reading() as connection:
        proved = connection.execute(
            "select content_hash from candle_days "
            f"where instrument_name = '{BTC}' and resolution = '1' and state = 'complete' "
            "order by day"
        ).fetchall()
    assert [(each["content_hash"],) for each in said["proofs"]] == proved
    assert said["proofs"][0].items() >= {
        "dataset": "candles_1m", "series": BTC, "day": "2024-04-07", "state": "complete",
        "rows": 1_440, "missing": 0,
    }.items()  # fmt: skip
    assert said["rolled_up"] == [{"series": BTC, "first": "2024-04-07", "last": "2024-04-09"}]
    assert (said["environment"], said["dataset"], said["rows"]) == ("sandbox", "candles_5m", 864)
    assert said["incomplete"] == []
    assert set(said["versions"]) == {"deribit-pipeline", "duckdb", "schema"}
    [file] = said["files"]
    content = Path("out", file["path"]).read_bytes()
    assert file["bytes"] == len(content)
    assert file["sha256"] == hashlib.sha256(content).hexdigest()


def test_the_same_again_replaces_the_export_with_the_same(export: Export) -> None:
    export("--instruments", f"{BTC},{SOL}", *DAYS)
    export("--instruments", BTC, *DAYS)
    before = everything("out")
    assert not any("SOL" in name for name in before)
    assert export("--instruments", BTC, *DAYS)[0] == 0
    assert everything("out") == before
    assert not list(Path().glob(".out*"))


def test_an_export_that_fails_leaves_the_former_one(export: Export) -> None:
    export("--instruments", BTC, *DAYS)
    before = everything("out")
    killed = Path(f".out.part-{os.getpid()}@0-1/data")  # a process of this number that is no more
    killed.mkdir(parents=True)
    assert export("--instruments", BTC, *DAYS, "--resolution", "1D", name="freqtrade")[0] == 2
    assert everything("out") == before
    assert not list(Path().glob(".out*"))


def test_incomplete_days_are_refused_before_anything_is_written(export: Export) -> None:
    export("--instruments", BTC, *DAYS)
    before = everything("out")
    code, said = export("--instruments", BTC, "--start", "2024-04-07", "--end", "2024-04-10")
    assert (code, everything("out")) == (1, before)
    assert said.startswith("Error: BTC-PERPETUAL has no complete 1m candles of 2024-04-10 (open): ")


def test_incomplete_days_that_are_allowed_are_named_in_the_manifest(export: Export) -> None:
    days = ("--start", "2024-04-06", "--end", "2024-04-10")
    code, said = export("--instruments", BTC, *days, "--allow-incomplete")
    assert code == 0
    assert "of which 2 days are not complete" in said
    assert manifest()["incomplete"] == [
        {"series": BTC, "day": "2024-04-06", "known": "never asked for"},
        {"series": BTC, "day": "2024-04-10", "known": "open"},
    ]
    assert manifest()["rows"] == 3 * 1_440 + 720


def test_a_folder_with_anything_else_in_it_is_left_alone(export: Export, sound: Warehouse) -> None:
    Path("out").mkdir()
    Path("out/notes.txt").write_text("mine")
    code, said = export("--instruments", BTC, *DAYS)
    assert (code, everything("out")) == (2, {"notes.txt": b"mine"})
    assert "holds notes.txt, which no export wrote there" in said
    Path("out/notes.txt").unlink()
    assert export("--instruments", BTC, *DAYS)[0] == 0
    Path("out/mine.parquet").touch()
    assert "holds mine.parquet" in export("--instruments", BTC, *DAYS)[1]
    assert "is a file: name a folder" in export("--instruments", BTC, *DAYS, to=sound.path)[1]
    assert export("--instruments", BTC, *DAYS, to=Path("new") / "and" / "deep")[0] == 0


def test_what_cannot_be_exported_is_one_sentence(export: Export) -> None:
    assert export("--instruments", BTC, *DAYS, name="excel") == (
        2,
        "Error: --format must be one of parquet, csv, freqtrade, nautilus, was 'excel'.\n",
    )
    code, said = export("--instruments", BTC, *DAYS, "--resolution", "1D", name="freqtrade")
    assert (code, Path("out").exists()) == (2, False)
    assert "do not open at multiples of their length from 00:00 UTC" in said


def prove(warehouse: Warehouse, dataset: str, series: str) -> None:
    """Say that the 1st of January 2024 is complete."""
    proof = {"dataset": dataset, "series": series, "day": date(2024, 1, 1), "state": "complete"}
    hold(warehouse, DATASET_DAYS, proof)


NEW_YEAR = ("--start", "2024-01-01", "--end", "2024-01-01")


@pytest.mark.parametrize("dataset", ROW_DATASETS, ids=lambda dataset: dataset.name)
def test_any_dataset_is_exported_by_its_series(
    export: Export, sound: Warehouse, dataset: Dataset
) -> None:
    option, column, series = {
        SeriesKind.INSTRUMENT: ("--instruments", "instrument_name", BTC),
        SeriesKind.CURRENCY: ("--series", "currency", "BTC"),
        SeriesKind.INDEX: ("--series", "index_name", "btc_usd"),
    }[dataset.series]
    table = table_of(dataset)
    hold(sound, table, {column: series})
    prove(sound, dataset.name, series)
    asked = ("--dataset", dataset.name, option, series, *NEW_YEAR)
    assert export(*asked)[0] == 0
    file = pq.ParquetFile(f"out/{column}={series}/month=2024-01/{dataset.name}.parquet")
    assert file.schema.names == [each.name for each in table.columns_but(column)]
    assert file.metadata.num_rows == manifest()["rows"] == 1
    code, said = export(*asked, name="nautilus")
    assert (code, "--format nautilus is for candles" in said) == (2, True)


def test_freqtrade_is_given_its_pairs(export: Export) -> None:
    assert (
        export("--instruments", f"{BTC},{SOL}", *DAYS, "--resolution", "5", name="freqtrade")[0]
        == 0
    )
    assert set(everything("out")) == {
        "manifest.json",
        "futures/BTC_USD_BTC-5m-futures.feather",
        "futures/SOL_USDC_USDC-5m-futures.feather",
    }
    found = pd.read_feather("out/futures/BTC_USD_BTC-5m-futures.feather")
    told = read.candles(BTC, "2024-04-07", "2024-04-09", "5")
    assert list(found.columns) == ["date", "open", "high", "low", "close", "volume"]
    assert str(found["date"].dtype) == "datetime64[ms, UTC]"
    assert (found["date"].dt.as_unit("us").array == told.index.array).all()
    assert found["volume"].tolist() == told["volume_base"].tolist()


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
    assert set(everything("out")) == {"manifest.json", file}


def test_freqtrade_knows_no_options(export: Export, sound: Warehouse) -> None:
    hold_minutes(sound, "BTC-27DEC24-50000-C", date(2024, 1, 1), np.full((1_440, 4), 0.05))
    code, said = export("--instruments", "BTC-27DEC24-50000-C", *NEW_YEAR, name="freqtrade")
    assert (code, "is an option or a combo" in said, Path("out").exists()) == (2, True, False)


def test_freqtrade_is_given_hourly_funding(export: Export, sound: Warehouse) -> None:
    hours = [datetime(2024, 1, 1, hour, tzinfo=UTC) for hour in range(3)]
    rows = [
        {"instrument_name": BTC, "funded_at": hour, "interest_1h": hour.hour / 1e6}
        for hour in hours
    ]
    hold(sound, FUNDING_RATES, *rows)
    prove(sound, "funding_rates", BTC)
    said = export("--dataset", "funding_rates", "--instruments", BTC, *NEW_YEAR, name="freqtrade")
    assert said[0] == 0
    found = pd.read_feather("out/futures/BTC_USD_BTC-1h-funding_rate.feather")
    assert found["funding_rate"].tolist() == [0.0, 1e-6, 2e-6]
    assert found["date"].tolist() == hours


def test_nautilus_is_given_bars_stamped_with_their_end(export: Export) -> None:
    assert export("--instruments", BTC, *DAYS, "--resolution", "60", name="nautilus")[0] == 0
    bar_type = "BTC-PERPETUAL.DERIBIT-1-HOUR-LAST-EXTERNAL"
    [file] = Path(f"out/data/bar/{bar_type}").iterdir()
    assert file.name == "2024-04-07T01-00-00-000000000Z_2024-04-10T00-00-00-000000000Z.parquet"
    table = pq.read_table(file)
    told = read.candles(BTC, "2024-04-07", "2024-04-09", "60")
    said = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert said == {
        "bar_type": bar_type, "instrument_id": "BTC-PERPETUAL.DERIBIT", "price_precision": "1",
        "size_precision": "8",
    }  # fmt: skip
    for name, values in (("open", told["open"]), ("volume", told["volume_base"].round(8))):
        raw = [int.from_bytes(each, "little", signed=True) for each in table[name].to_pylist()]
        assert raw == [round(value * 1e8) * 10**8 for value in values]
    ended_ns = (told.index + pd.Timedelta(hours=1)).as_unit("ns").asi8.tolist()
    assert table["ts_event"].to_pylist() == table["ts_init"].to_pylist() == ended_ns
    assert [str(each.type) for each in table.schema][:5] == ["fixed_size_binary[16]"] * 5
    assert not any(each.nullable for each in table.schema)


@pytest.mark.skipif(not importlib.util.find_spec("nautilus_trader"), reason="is not installed")
def test_nautilus_reads_its_catalog(export: Export) -> None:
    from nautilus_trader.persistence.catalog import ParquetDataCatalog

    export("--instruments", BTC, *DAYS, "--resolution", "60", name="nautilus")
    bars = ParquetDataCatalog("out").bars()
    told = read.candles(BTC, "2024-04-07", "2024-04-09", "60")
    assert [float(bar.close) for bar in bars] == told["close"].tolist()


@pytest.mark.skipif(not importlib.util.find_spec("freqtrade"), reason="is not installed")
def test_freqtrade_reads_its_files(export: Export) -> None:
    from freqtrade.data.history.datahandlers import get_datahandler
    from freqtrade.enums import CandleType

    export("--instruments", BTC, *DAYS, "--resolution", "5", name="freqtrade")
    handler = get_datahandler(Path("out"), "feather")
    told = read.candles(BTC, "2024-04-07", "2024-04-09", "5")
    found = handler.ohlcv_load("BTC/USD:BTC", "5m", CandleType.FUTURES)
    assert found["close"].tolist() == told["close"].tolist()
