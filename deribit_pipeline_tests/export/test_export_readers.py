"""Exports opened by common programs, numbers that a format cannot represent, and killed exports."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pytest

from deribit_pipeline import read
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
from deribit_pipeline_tests.helpers.disks import Disk
from deribit_pipeline_tests.helpers.inserted_rows import hold, hold_minutes

__all__ = ["export"]  # a fixture


def test_common_readers_open_the_folder_as_it_is(export: Export) -> None:
    assert export("--instruments", f"{BTC},{SOL}", *DAYS, "--resolution", "60")[0] == 0
    returned = pd.concat(
        read.candles(name, "2024-04-07", "2024-04-09", "60").reset_index() for name in (BTC, SOL)
    )
    for found in (
        pd.read_parquet("out"),
        ds.dataset("out").to_table().to_pandas(),
        pl.scan_parquet("out").collect().to_pandas(),
        pl.read_parquet("out").to_pandas(),
    ):
        found = found.sort_values(["instrument_name", "opened_at"])
        assert found["instrument_name"].tolist() == [BTC] * 72 + [SOL] * 72
        assert found["close"].tolist() == returned["close"].tolist()
        assert list(found.columns) == ["instrument_name", *returned.columns]


def test_common_readers_open_a_folder_of_csv(export: Export) -> None:
    assert export("--instruments", f"{BTC},{SOL}", *DAYS, name="csv")[0] == 0
    assert ds.dataset("out", format="csv").to_table().num_rows == 2 * 3 * 1_440


def test_what_is_no_manifest_is_not_replaced_by_one(export: Export) -> None:
    Path("out.manifest.json").write_text("[1, 2]")
    code, output = export("--instruments", BTC, *DAYS)
    assert (code, output.count("\n"), Path("out").exists()) == (2, 1, False)
    assert "out.manifest.json, which no export created" in output
    assert Path("out.manifest.json").read_text() == "[1, 2]"


KILLED = """
import os, sys, pathlib
rename, at = pathlib.Path.rename, sys.argv.pop()
def once(self, to):
    if pathlib.Path(to).name == "out" and at == "before":
        os._exit(9)
    made = rename(self, to)
    if pathlib.Path(to).name == "out":
        os._exit(9)
    return made
pathlib.Path.rename = once
from deribit_pipeline.cli.main import main
main()
"""


def kill(at: str, *line: str, name: str = "parquet") -> None:
    killed = [sys.executable, "-c", KILLED, *line, "--format", name, "--to", "out", at]
    assert subprocess.run(killed, check=False).returncode == 9


def proved_files() -> list[str]:
    output = manifest()
    assert {file["path"]: file["bytes"] for file in output["files"]} == {
        name: len(content) for name, content in everything("out").items()
    }
    return [file["path"] for file in output["files"]]


@pytest.mark.processes
def test_a_killed_export_keeps_the_former_one_and_its_manifest(export: Export) -> None:
    hours = ("--resolution", "60")
    export("--instruments", BTC, *DAYS, *hours, name="freqtrade")
    before, files = everything("out"), proved_files()
    kill("before", "export", "--instruments", SOL, *DAYS, *hours, name="freqtrade")
    assert not Path("out").exists()
    assert export("--instruments", BTC, *DAYS, "--resolution", "1D", name="freqtrade")[0] == 2
    assert (everything("out"), proved_files()) == (before, files)


@pytest.mark.processes
@pytest.mark.parametrize("at", ["before", "after"])
def test_after_a_killed_export_the_same_command_completes_it(export: Export, at: str) -> None:
    export("--instruments", BTC, *DAYS)
    kill(at, "export", "--instruments", SOL, *DAYS)
    assert export("--instruments", SOL, *DAYS)[0] == 0
    assert proved_files() == [f"{name}/candles_1m-2024-04.parquet" for name in (BTC, SOL)]
    assert "replaced_by" not in manifest()
    assert not list(Path().glob(".out*"))


@pytest.mark.parametrize("name", ["freqtrade", "nautilus"])
@pytest.mark.parametrize(
    ("column", "value", "output"),
    [
        ("open", np.inf, "open of BTC-27DEC24 at 2024-01-01 00:05 is inf"),
        ("close", np.nan, "close of BTC-27DEC24 at 2024-01-01 00:05 is missing"),
        ("high", 1e308, "high of BTC-27DEC24 at 2024-01-01 00:05 is 1e+308"),
    ],
)
def test_a_number_that_a_program_cannot_have_is_one_sentence(
    export: Export, sound: Warehouse, name: str, column: str, value: float, output: str
) -> None:
    if (name, value) == ("freqtrade", 1e308):
        return  # a number of 64 bits like any other
    export("--instruments", BTC, *DAYS, name=name)
    before = everything("out")
    hold_minutes(sound, "BTC-27DEC24", date(2024, 1, 1), np.full((1_440, 4), 2_000.0))
    with sound.writing() as connection:
        connection.execute(
            f"update candles set {column} = $value where instrument_name = 'BTC-27DEC24' "
            "and opened_at = '2024-01-01 00:05:00+00'",
            {"value": value},
        )
    code, err = export("--instruments", "BTC-27DEC24", *NEW_YEAR, name=name)
    assert (code, err.count("\n")) == (2, 1)
    assert f"{output}, which {name}" in err
    assert everything("out") == before
    assert not list(Path().glob(".out*"))


def test_funding_without_a_rate_is_none_for_freqtrade(export: Export, sound: Warehouse) -> None:
    hour = datetime(2024, 1, 1, 7, tzinfo=UTC)
    hold(
        sound, FUNDING_RATES, {"instrument_name": BTC, "funded_at": hour, "interest_1h": np.nan}
    )  # fmt: skip
    prove(sound, "funding_rates", BTC)
    requested = ("--dataset", "funding_rates", "--instruments", BTC, *NEW_YEAR)
    code, err = export(*requested, name="freqtrade")
    assert (code, "interest_1h of BTC-PERPETUAL at 2024-01-01 07:00 is missing" in err) == (2, True)
    assert not Path("out").exists()


def test_a_manifest_that_is_a_pipe_is_not_waited_for(export: Export) -> None:
    os.mkfifo("out.manifest.json")
    assert export("--instruments", BTC, *DAYS)[0] == 2
    Path("out.manifest.json").unlink()
    Path("out").mkdir()
    os.mkfifo("out/manifest.json")
    code, output = export("--instruments", BTC, *DAYS)
    assert (code, "out holds manifest.json, which no export created" in output) == (2, True)
    assert [path.name for path in Path("out").iterdir()] == ["manifest.json"]


def test_days_that_were_exported_as_proved_are_not_replaced_by_incomplete_ones(
    export: Export, sound: Warehouse
) -> None:
    assert export("--instruments", BTC, *DAYS)[0] == 0
    before = everything("out")
    with sound.writing() as connection:
        connection.execute("delete from candles where opened_at::date = '2024-04-08'")
        connection.execute("delete from candle_days where day = '2024-04-08'")
    code, output = export("--instruments", BTC, *DAYS, "--allow-incomplete")
    assert (code, "of 2024-04-08, and the warehouse does not" in output) == (2, True)
    assert everything("out") == before
    assert export("--instruments", BTC, *DAYS, "--allow-incomplete", to="new")[0] == 0


def test_where_a_disk_is_mounted_is_no_folder_to_replace(export: Export, disk: Disk) -> None:
    code, output = export("--instruments", BTC, *DAYS, to=disk.path)
    assert (code, output.count("\n"), list(disk.path.iterdir())) == (2, 1, [])
    assert "is a mount point, which cannot be replaced as a whole: name a folder in it" in output
    assert export("--instruments", BTC, *DAYS, to=disk.path / "out")[0] == 0
