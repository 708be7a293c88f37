"""Exports: complete or absent, readable by other programs, with a manifest of their proofs."""

import hashlib
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
from deribit_pipeline.datasets.registry import ROW_DATASETS
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.proof_tables import DATASET_DAYS
from deribit_pipeline.warehouse.instrument_tables import INSTRUMENTS
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.inserted_rows import hold, hold_minutes
from deribit_pipeline_tests.helpers.processes import name_warehouse

BTC, SOL = "BTC-PERPETUAL", "SOL_USDC-PERPETUAL"
DAYS = ("--start", "2024-04-07", "--end", "2024-04-09")  # what `filled` holds complete

Export = Callable[..., tuple[int, str]]


@pytest.fixture
def export(
    sound: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Export:
    """Runs `export`; returns its exit code and output."""
    name_warehouse(monkeypatch, sound.location, sound.location.parent)
    hold(sound, INSTRUMENTS, *map(specification, (BTC, SOL, "BTC-27DEC24")))

    def run(*arguments: str, to: Path | str = "out", name: str = "parquet") -> tuple[int, str]:
        capsys.readouterr()
        code = exit_code(["export", *arguments, "--format", name, "--to", str(to)])
        return code, capsys.readouterr().err

    return run


def specification(name: str, **other: object) -> dict[str, object]:
    """A specification of a future, for the table `instruments`."""
    base = name.partition("-")[0].partition("_")[0]
    return {
        "instrument_name": name, "kind": "future", "base_currency": base, "quote_currency": "USD",
        "settlement_currency": base, "listed_at": datetime(2018, 8, 14, tzinfo=UTC),
        "valid_from": datetime(2018, 8, 14, tzinfo=UTC), "contract_size": 10.0, "tick_size": 0.5,
        "tick_size_steps": "[]", "min_trade_amount": 10.0, "maker_commission": 0.0,
        "taker_commission": 0.0005, "max_leverage": 50.0, **other,
    }  # fmt: skip


def manifest() -> Any:
    return json.loads(Path("out.manifest.json").read_text())


def part(number: int = 0) -> Any:
    return manifest()["parts"][number]


def everything(folder: str) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in Path(folder).rglob("*")
        if file.is_file()
    }


def test_parquet_holds_what_the_reader_reads(export: Export) -> None:
    names = f"{BTC},{SOL}"
    code, output = export("--instruments", names, *DAYS, "--resolution", "60")
    assert code == 0
    assert re.search(
        r"out holds 144 candles in 2 files of parquet, \d+ kB, written in \d\.\d s\.$", output
    )
    assert set(everything("out")) == {f"{name}/candles_1h-2024-04.parquet" for name in (BTC, SOL)}
    for name in (BTC, SOL):
        with duckdb.connect() as connection:
            rows = connection.execute(
                "select epoch_ms(opened_at), * exclude (opened_at, instrument_name) "
                "from read_parquet('out/**/*.parquet') "
                "where instrument_name = $name",
                {"name": name},
            ).fetchall()
        returned = read.candles(name, "2024-04-07", "2024-04-09", "60")
        assert [row[0] for row in rows] == returned.index.as_unit("ms").asi8.tolist()
        assert [list(row[1:]) for row in rows] == returned.to_numpy().tolist()


def test_a_month_is_a_file(export: Export, sound: Warehouse) -> None:
    hold_minutes(sound, "ETH-PERPETUAL", date(2023, 12, 30), np.full((4 * 1_440, 4), 2_000.0))
    days = ("--start", "2023-12-30", "--end", "2024-01-02")
    assert export("--instruments", "ETH-PERPETUAL", *days, "--resolution", "720")[0] == 0
    files = {file.name: pq.ParquetFile(file) for file in Path("out").rglob("*.parquet")}
    assert {name: file.metadata.num_rows for name, file in files.items()} == {
        "candles_12h-2023-12.parquet": 4,
        "candles_12h-2024-01.parquet": 4,
    }
    assert [each["rolled_up"] for each in manifest()["parts"]] == [
        [{"first": "2023-12-30", "last": "2023-12-31"}],
        [{"first": "2024-01-01", "last": "2024-01-02"}],
    ]


def test_csv_says_instants_in_utc(export: Export) -> None:
    assert export("--instruments", BTC, *DAYS, name="csv")[0] == 0
    [file] = Path("out").rglob("*.csv")
    with file.open() as lines:
        header, first = next(lines), next(lines)
    assert header == "instrument_name,opened_at,open,high,low,close,volume_base,volume_quote\n"
    assert first.startswith("BTC-PERPETUAL,2024-04-07T00:00:00.000Z,")
    found = pd.read_csv(file, index_col="opened_at", parse_dates=True)
    returned = read.candles(BTC, "2024-04-07", "2024-04-09")
    assert found.drop(columns="instrument_name").to_numpy().tolist() == returned.to_numpy().tolist()
    assert found.index.as_unit("us").equals(returned.index)


def test_the_manifest_says_what_proves_each_day_and_each_file(
    export: Export, sound: Warehouse
) -> None:
    assert export("--instruments", BTC, *DAYS, "--resolution", "5")[0] == 0
    output = manifest()
    with sound.reading() as connection:
        proved = connection.execute(
            "select content_hash from candle_days "
            f"where instrument_name = '{BTC}' and resolution = '1' and state = 'complete' "
            "order by day"
        ).fetchall()
    assert [(each["content_hash"],) for each in part()["proofs"]] == proved
    assert part()["proofs"][0].items() >= {
        "dataset": "candles_1m", "series": BTC, "day": "2024-04-07", "state": "complete",
        "rows": 1_440, "missing": 0,
    }.items()  # fmt: skip
    assert part()["rolled_up"] == [{"first": "2024-04-07", "last": "2024-04-09"}]
    assert (output["environment"], part()["dataset"], part()["rows"]) == (
        "sandbox", "candles_5m", 864,
    )  # fmt: skip
    assert part()["incomplete"] == {}
    assert (part()["start"], part()["end"]) == ("2024-04-07T00:00:00Z", "2024-04-10T00:00:00Z")
    assert set(output["versions"]) == {"deribit-pipeline", "duckdb", "schema"}
    [file] = output["files"]
    assert part()["files"] == [file["path"]]
    content = Path("out", file["path"]).read_bytes()
    assert file["bytes"] == len(content)
    assert file["sha256"] == hashlib.sha256(content).hexdigest()


def test_the_same_again_replaces_the_export_with_the_same(export: Export) -> None:
    export("--instruments", BTC, *DAYS)
    before, proofs = everything("out"), manifest()
    assert export("--instruments", BTC, *DAYS)[0] == 0
    assert (everything("out"), manifest()) == (before, proofs)
    assert not list(Path().glob(".out*"))


def test_an_export_that_fails_leaves_the_former_one(export: Export) -> None:
    export("--instruments", BTC, *DAYS, "--resolution", "60", name="freqtrade")
    before = everything("out")
    killed = Path(f".out.part-{os.getpid()}@0-1/data")  # the number of a process that has ended
    killed.mkdir(parents=True)
    assert export("--instruments", BTC, *DAYS, "--resolution", "1D", name="freqtrade")[0] == 2
    assert everything("out") == before
    assert not list(Path().glob(".out*"))


def test_incomplete_days_are_refused_before_anything_is_written(export: Export) -> None:
    export("--instruments", BTC, *DAYS)
    before = everything("out")
    code, output = export("--instruments", BTC, "--start", "2024-04-07", "--end", "2024-04-10")
    assert (code, everything("out")) == (1, before)
    assert output.startswith(
        "Error: BTC-PERPETUAL has no complete 1m candles of 2024-04-10 (open): "
    )
    assert output.endswith(
        "run deribit-pipeline backfill --resolution 1 --instruments BTC-PERPETUAL "
        "--start 2024-04-10 --end 2024-04-10, or export what is held with --allow-incomplete.\n"
    )


def test_incomplete_days_that_are_allowed_are_named_in_the_manifest(export: Export) -> None:
    days = ("--start", "2024-04-06", "--end", "2024-04-10")
    code, output = export("--instruments", BTC, *days, "--allow-incomplete")
    assert code == 0
    assert re.search(
        r" in 1 file of parquet, \d+ kB, written in \d\.\d s; 2 days are not c", output
    )
    assert part()["incomplete"] == {"2024-04-06": "never requested", "2024-04-10": "open"}
    assert part()["rows"] == 3 * 1_440 + 720


def test_a_folder_with_anything_else_in_it_is_left_alone(export: Export, sound: Warehouse) -> None:
    Path("out").mkdir()
    Path("out/notes.txt").write_text("mine")
    code, output = export("--instruments", BTC, *DAYS)
    assert (code, everything("out")) == (2, {"notes.txt": b"mine"})
    assert "holds notes.txt, which no export created" in output
    Path("out/notes.txt").unlink()
    assert export("--instruments", BTC, *DAYS)[0] == 0
    Path("out/mine.parquet").touch()
    assert "holds mine.parquet" in export("--instruments", BTC, *DAYS)[1]
    assert "is a file: name a folder" in export("--instruments", BTC, *DAYS, to=sound.location)[1]
    assert export("--instruments", BTC, *DAYS, to=Path("new") / "and" / "deep")[0] == 0


def test_what_cannot_be_exported_is_one_sentence(export: Export) -> None:
    assert export("--instruments", BTC, *DAYS, name="excel") == (
        2,
        "Error: --format must be one of parquet, csv, freqtrade, nautilus, was 'excel'.\n",
    )
    code, output = export("--instruments", BTC, *DAYS, "--resolution", "1D", name="freqtrade")
    assert (code, Path("out").exists()) == (2, False)
    assert "do not open at multiples of their length from 00:00 UTC" in output


def prove(warehouse: Warehouse, dataset: str, series: str) -> None:
    """Mark the 1st of January 2024 as complete."""
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
    table = dataset.table
    hold(sound, table, {column: series})
    prove(sound, dataset.name, series)
    requested = ("--dataset", dataset.name, option, series, *NEW_YEAR)
    assert export(*requested)[0] == 0
    file = pq.ParquetFile(f"out/{series}/{dataset.name}-2024-01.parquet")
    assert file.schema.names == [column, *(each.name for each in table.columns_but(column))]
    assert file.metadata.num_rows == part()["rows"] == 1
    code, output = export(*requested, name="nautilus", to="other")
    assert (code, "--format nautilus is for candles: export other" in output) == (2, True)
    if dataset.name != "funding_rates":
        code, output = export(*requested, name="freqtrade")
        assert (code, "--format freqtrade is for candles and funding rates" in output) == (2, True)
