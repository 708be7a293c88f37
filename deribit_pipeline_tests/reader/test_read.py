"""The reader returns frames of complete days, or raises an error that names the others."""

import shutil
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deribit_pipeline import read
from deribit_pipeline.datasets.funding_rates.table import TABLE as FUNDING_RATES
from deribit_pipeline.datasets.trades.table import TABLE as TRADES
from deribit_pipeline.datasets.volatility_index.table import TABLE as VOLATILITY_INDEX
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.proof_tables import DATASET_DAYS
from deribit_pipeline.errors import IncompleteDays, InputError
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import every_store
from deribit_pipeline_tests.helpers.inserted_rows import hold
from deribit_pipeline_tests.helpers.processes import name_warehouse, variables_of

BTC, SOL = "BTC-PERPETUAL", "SOL_USDC-PERPETUAL"
FIRST, LAST = "2024-04-07", "2024-04-09"  # what `filled` holds complete; the 10th is open
PRICES = ["open", "high", "low", "close"]
VALUES = [*PRICES, "volume_base", "volume_quote"]

Plant = Callable[[str], None]


@pytest.fixture(autouse=True)
def environment(sound: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings with the intact warehouse."""
    name_warehouse(monkeypatch, sound.location, tmp_path)


def remove(plant: Plant, resolution: str, days: str = "true") -> None:
    """Remove all traces of these candles from the warehouse."""
    plant(f"delete from candle_days where resolution = '{resolution}' and {days}")
    days = days.replace("day", "cast(timezone('UTC', opened_at) as date)")
    plant(f"delete from candles where resolution = '{resolution}' and {days}")


@every_store
def test_candles_come_indexed_by_their_opening(sound: Warehouse) -> None:
    frame = read.candles(BTC, FIRST, LAST)
    assert list(frame.columns) == VALUES
    assert (frame.index.name, str(frame.index.tz), len(frame)) == ("opened_at", "UTC", 3 * 1_440)
    assert frame.index.is_monotonic_increasing
    assert {str(each) for each in frame.dtypes} == {"float64"}
    with sound.reading() as connection:
        held = connection.execute(
            f"select {', '.join(VALUES)} from candles where instrument_name = '{BTC}' "
            "and resolution = '1' and opened_at < '2024-04-10' order by opened_at"
        ).fetchall()
    assert frame.to_numpy().tolist() == [list(row) for row in held]
    assert frame.attrs == {
        "environment": "sandbox",
        "warehouse": str(sound.location),
        "series": BTC,
        "proved_until": "2024-04-10 00:00:00+00:00",
        "rolled_up": [],
        "incomplete": [],
    }


@every_store
def test_the_same_rows_come_as_arrow_and_polars() -> None:
    frame = read.candles(SOL, FIRST, LAST, "60").reset_index()
    table = read.candles(SOL, FIRST, LAST, "60", frame="arrow")
    assert str(table.schema.field("opened_at").type) == "timestamp[us, tz=UTC]"
    assert table.to_pydict() == frame.to_dict("list")
    polars = read.candles(SOL, FIRST, LAST, "60", frame="polars")
    assert polars.equals(type(polars)(table))


def test_a_missing_library_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(InputError, match="polars is not installed: pip install polars"):
        read.candles(BTC, FIRST, LAST, frame="polars")
    with pytest.raises(InputError, match="frame must be one of pandas, arrow, polars, was 'vaex'"):
        read.candles(BTC, FIRST, LAST, frame="vaex")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "end",
    [
        LAST,
        "20240409",
        date(2024, 4, 9),
        "2024-04-10T00:00",
        "2024-04-10 00:00Z",
        datetime(2024, 4, 10),
        pd.Timestamp("2024-04-10", tz="UTC"),
        datetime(2024, 4, 10, 2, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_days_are_meant_whole_and_instants_are_where_to_stop(end: read.Moment) -> None:
    frame = read.candles(BTC, datetime(2024, 4, 8, 23, 30), end)
    assert frame.index[0] == datetime(2024, 4, 8, 23, 30, tzinfo=UTC)
    assert frame.index[-1] == datetime(2024, 4, 9, 23, 59, tzinfo=UTC)


@pytest.mark.parametrize("resolution", ["60", "180", "720", "1D"])
def test_candles_made_of_minutes_equal_the_published_ones(plant: Plant, resolution: str) -> None:
    last = "2024-04-08" if resolution == "1D" else LAST  # the day of the 9th ends on the 10th
    published = read.candles(BTC, FIRST, last, resolution)
    remove(plant, resolution, "day in (date '2024-04-07', date '2024-04-08')")
    made = read.candles(BTC, FIRST, last, resolution)
    assert published.attrs["rolled_up"] == []
    assert made.attrs["rolled_up"] == ["2024-04-07 to 2024-04-08"]
    assert made.index.equals(published.index)
    assert made[PRICES].equals(published[PRICES])
    assert np.allclose(made[VALUES[4:]], published[VALUES[4:]], rtol=0, atol=1e-3)


@pytest.mark.parametrize("resolution", ["3", "5", "10", "15", "30", "120", "360"])
def test_any_resolution_is_made_of_minutes(resolution: str) -> None:
    minutes, made = read.candles(BTC, FIRST, LAST), read.candles(BTC, FIRST, LAST, resolution)
    length = int(resolution)
    assert made.attrs["rolled_up"] == [f"{FIRST} to {LAST}"]
    assert made.index.equals(minutes.index[::length])
    assert made["open"].tolist() == minutes["open"].to_numpy()[::length].tolist()
    assert made["close"].tolist() == minutes["close"].to_numpy()[length - 1 :: length].tolist()
    assert made["high"].tolist() == minutes["high"].to_numpy().reshape(-1, length).max(1).tolist()
    assert made["volume_base"].sum() == pytest.approx(minutes["volume_base"].sum())


def test_a_days_candle_needs_the_minutes_of_the_next_morning(plant: Plant) -> None:
    remove(plant, "1D")
    assert list(read.candles(BTC, FIRST, "2024-04-08", "1D").index.hour) == [8, 8]
    # The 10th is not over, and its first eight hours are.
    assert list(read.candles(BTC, FIRST, LAST, "1D").index.day) == [7, 8, 9]
    remove(plant, "1", "day = '2024-04-10'")
    with pytest.raises(IncompleteDays) as error:
        read.candles(BTC, FIRST, LAST, "1D")
    needed = "its candle needs the first 8 hours of 2024-04-10, never requested"
    assert error.value.days == {date(2024, 4, 9): needed}
    assert "leave out end to read until the last closed one" in str(error.value)


def test_without_any_held_candle_three_hours_are_counted_from_midnight(plant: Plant) -> None:
    before = read.candles(BTC, FIRST, LAST, "180")
    remove(plant, "180")
    assert list(read.candles(BTC, FIRST, FIRST, "180").index.hour) == list(range(0, 24, 3))
    assert before.index.hour[0] in (0, 2)


@every_store
def test_a_candle_is_made_only_of_all_its_minutes(plant: Plant) -> None:
    remove(plant, "60")
    plant("delete from candles where resolution = '1' and opened_at = '2024-04-08 05:30:00+00'")
    plant("update candle_days set state = 'gapped', missing = 1 where day = '2024-04-08'")
    found = read.candles(BTC, FIRST, LAST, "60", complete_only=False)
    assert len(found) == 71
    assert datetime(2024, 4, 8, 5, tzinfo=UTC) not in found.index
    assert found.attrs["incomplete"] == ["2024-04-08"]


def test_incomplete_days_are_named_with_what_completes_them(plant: Plant) -> None:
    plant("update candle_days set state = 'gapped', missing = 3 where day = '2024-04-08'")
    with pytest.raises(IncompleteDays) as error:
        read.candles(BTC, "2024-04-05", "2024-04-10", "60")
    assert str(error.value) == (
        "BTC-PERPETUAL has no complete 1h candles of 2024-04-05 to 2024-04-06 (never requested), "
        "2024-04-08 (gapped, 3 missing), 2024-04-10 (open): fetch them with deribit-pipeline "
        "backfill (candles of resolution 60 of BTC-PERPETUAL from 2024-04-05 to 2024-04-10), leave "
        "out end to read until the last closed one, or read the stored rows with "
        "complete_only=False."
    )
    assert error.value.series == BTC
    found = read.candles(BTC, "2024-04-05", "2024-04-10", "60", complete_only=False)
    assert len(found) == 3 * 24 + 12
    assert found.attrs["incomplete"] == ["2024-04-05 to 2024-04-06", "2024-04-08", "2024-04-10"]


def test_days_before_the_listing_need_no_rows_unless_there_are_no_others(plant: Plant) -> None:
    plant("update candle_days set state = 'not_listed' where day = '2024-04-07'")
    plant("delete from candles where opened_at < '2024-04-08'")
    assert len(read.candles(BTC, FIRST, LAST)) == 2 * 1_440
    with pytest.raises(IncompleteDays, match=r"candles of 2024-04-07 \(not listed\)\.$"):
        read.candles(BTC, FIRST, FIRST)
    assert read.candles(BTC, FIRST, FIRST, complete_only=False).empty


def test_a_missing_warehouse_is_an_error_that_names_the_one_beside_it(sound: Warehouse) -> None:
    assert isinstance(sound.location, Path)
    with pytest.raises(InputError) as error:
        read.candles(BTC, FIRST, LAST, warehouse="elsewhere.duckdb")
    missing = sound.location.parent / "elsewhere.duckdb"
    assert str(error.value).startswith(f"{missing} does not exist: nothing was backfilled")
    assert f"Beside it: {sound.location};" in str(error.value)


def test_a_notebook_in_a_folder_of_its_own_finds_the_warehouse_above(
    sound: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("project/data", "project/notebooks"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(str(sound.location), tmp_path / "project/data/sandbox.duckdb")
    monkeypatch.delenv("DERIBIT_WAREHOUSE")
    monkeypatch.chdir(tmp_path / "project/notebooks")
    with pytest.raises(InputError) as error:
        read.candles(BTC, FIRST, LAST)
    assert f"In a folder above: {tmp_path / 'project/data/sandbox.duckdb'};" in str(error.value)


@pytest.mark.parametrize("environment_name", ["mainnet", "production", None])
def test_a_warehouse_that_is_named_is_read_whatever_the_environment_is(
    sound: Warehouse, monkeypatch: pytest.MonkeyPatch, environment_name: str | None
) -> None:
    monkeypatch.delenv("DERIBIT_ENV")
    if environment_name:
        monkeypatch.setenv("DERIBIT_ENV", environment_name)
    frame = read.candles(BTC, FIRST, LAST, warehouse=str(sound.location))
    assert frame.attrs["environment"] == "sandbox"
    table = read.sql("from warehouse_info", warehouse=str(sound.location), frame="arrow")
    assert table.schema.metadata[b"environment"] == b"sandbox"
    if environment_name != "production":  # in DERIBIT_WAREHOUSE
        assert read.sql("from warehouse_info").attrs["environment"] == "sandbox"


def test_the_file_that_the_environment_selects_must_be_of_it(
    sound: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    shutil.copy(str(sound.location), tmp_path / "data/mainnet.duckdb")
    monkeypatch.delenv("DERIBIT_WAREHOUSE")
    monkeypatch.setenv("DERIBIT_ENV", Environment.MAINNET)
    with pytest.raises(read.WarehouseError, match="is the warehouse of sandbox"):
        read.candles(BTC, FIRST, LAST)


@every_store
def test_a_warehouse_may_be_named_as_the_environment_names_it(
    sound: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DERIBIT_WAREHOUSE")
    place = variables_of(sound.location)["DERIBIT_WAREHOUSE"]
    assert len(read.candles(BTC, FIRST, LAST, "60", warehouse=place)) == 3 * 24


def test_reading_changes_nothing_and_lets_a_writer_in_at_once(sound: Warehouse) -> None:
    before = sound.location.read_bytes()
    read.candles(BTC, FIRST, LAST)
    assert sound.location.read_bytes() == before
    with warehouse_at(sound.location, Environment.SANDBOX, patience=0).writing() as connection:
        connection.execute("delete from candles")


def test_funding_is_read_by_the_end_of_its_hour(sound: Warehouse) -> None:
    hours = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(25)]
    hold(
        sound,
        FUNDING_RATES,
        *({"instrument_name": BTC, "funded_at": hour, "interest_1h": hour.hour} for hour in hours),
    )
    prove(sound, "funding_rates", BTC)
    frame = read.funding(BTC, "2024-01-01", "2024-01-01")
    assert frame.index.name == "funded_at"
    assert frame["interest_1h"].tolist() == list(range(24))
    assert list(frame.columns) == ["interest_1h", "interest_8h", "index_price", "prev_index_price"]
    with pytest.raises(IncompleteDays, match=r"\(funding_rates of BTC-PERPETUAL from"):
        read.funding(BTC, "2024-01-01", "2024-01-02")


@every_store
def test_trades_are_read_in_the_order_of_their_numbers(sound: Warehouse) -> None:
    hold(
        sound,
        TRADES,
        *({"instrument_name": BTC, "trade_seq": n, "trade_id": f"x{n}"} for n in (2, 1, 3)),
    )
    prove(sound, "trades", BTC)
    frame = read.trades(BTC, "2024-01-01", "2024-01-01")
    assert frame["trade_id"].tolist() == ["x1", "x2", "x3"]
    assert frame.index.name == "traded_at"
    assert np.isnan(frame["mark_price"]).all()
    assert read.trades(BTC, "2024-01-01", "2024-01-01", frame="polars")["iv"].null_count() == 3


def test_the_volatility_index_is_read_by_resolution(sound: Warehouse) -> None:
    hold(
        sound,
        VOLATILITY_INDEX,
        *({"currency": "BTC", "resolution": each, "close": int(each)} for each in ("60", "3600")),
    )
    prove(sound, "volatility_index", "BTC")
    assert read.volatility_index("BTC", "2024-01-01", "2024-01-01")["close"].tolist() == [3600]
    minutes = read.volatility_index("BTC", "2024-01-01", "2024-01-01", "60")
    assert (minutes["close"].tolist(), list(minutes.columns)) == ([60], PRICES)
    with pytest.raises(InputError, match="must be one of 60, 3600, 1m, 1h, was '1'"):
        read.volatility_index("BTC", "2024-01-01", "2024-01-01", "1")
    with pytest.raises(IncompleteDays, match=r"\(volatility_index of ETH from"):
        read.volatility_index("ETH", "2024-01-01", "2024-01-01")


def prove(warehouse: Warehouse, dataset: str, series: str) -> None:
    """Prove the 1st of January 2024 complete."""
    proof = {"dataset": dataset, "series": series, "day": date(2024, 1, 1), "state": "complete"}
    hold(warehouse, DATASET_DAYS, proof)


def test_historical_prices_end_with_the_newest_complete_day() -> None:
    prices = read.historical_prices(BTC, 2)
    assert list(prices.columns) == [*PRICES, "volume"]
    assert len(prices) == 48
    assert prices.index[-1] == datetime(2024, 4, 9, 23, tzinfo=UTC)
    with pytest.raises(IncompleteDays, match=r"2024-04-03 to 2024-04-06 \(never requested\)"):
        read.historical_prices(BTC)
    assert len(read.historical_prices(BTC, complete_only=False)) == 72
    with pytest.raises(InputError, match="holds no complete day of ETH-PERPETUAL"):
        read.historical_prices("ETH-PERPETUAL")
    with pytest.raises(InputError, match="days must be a whole number, 1 or more"):
        read.historical_prices(BTC, 0)


@every_store
def test_realised_volatility_is_what_the_macro_says(sound: Warehouse) -> None:
    found = read.realised_volatility(BTC, "2024-04-09", LAST, sampling=60, samples=24)
    assert len(found) == 24
    assert found.index[0] == datetime(2024, 4, 9, tzinfo=UTC)
    with sound.reading() as connection:
        expected = connection.execute(
            f"select close_to_close, parkinson, garman_klass, rogers_satchell, yang_zhang "
            f"from realised_volatility('{BTC}', 60, 24) where ended_at >= '2024-04-09' "
            "and ended_at < '2024-04-10' order by ended_at"
        ).fetchall()
    # Its sums of rolling windows are made of other parts, which rounds otherwise.
    assert found.to_numpy() == pytest.approx(np.array(expected), rel=1e-12)
    with pytest.raises(IncompleteDays, match="2024-04-06"):
        read.realised_volatility(BTC, "2024-04-07", LAST, sampling=60, samples=24)
    with pytest.raises(InputError, match="sampling must be a whole number, 1 or more"):
        read.realised_volatility(BTC, FIRST, LAST, sampling=0)
