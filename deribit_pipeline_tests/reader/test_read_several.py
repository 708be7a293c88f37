"""Several series in one frame: lists, selectors, and the part of the window in which each was
listed."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from deribit_pipeline import read
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.errors import IncompleteDays, InputError
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.demo_rows import NAMES, OPTIONS, hold_fortnight
from deribit_pipeline_tests.helpers.processes import name_warehouse

BTC, ETH = NAMES
DAYS = ("2024-01-02", "2024-01-04")


@pytest.fixture(scope="module")
def fortnight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fortnight") / "warehouse.duckdb"
    hold_fortnight(Warehouse(path, Environment.SANDBOX))
    return path


@pytest.fixture(autouse=True)
def environment(fortnight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name_warehouse(monkeypatch, fortnight, tmp_path)


def test_rows_of_several_are_those_of_each_by_time_and_then_as_named() -> None:
    found = read.candles([ETH, BTC], *DAYS, "1h")
    assert found.columns[0] == "instrument_name"
    assert found["instrument_name"].tolist()[:4] == [ETH, BTC, ETH, BTC]
    assert found.index.is_monotonic_increasing
    for name in NAMES:
        alone = found[found["instrument_name"] == name].drop(columns="instrument_name")
        pd.testing.assert_frame_equal(alone, read.candles(name, *DAYS, "1h"))
    assert found.attrs["series"] == [ETH, BTC]
    assert found.attrs["rolled_up"] == {name: ["2024-01-02 to 2024-01-04"] for name in (ETH, BTC)}


@pytest.mark.parametrize("names", [[BTC], (BTC, BTC), f"{BTC},{BTC},", "kind=future currency=BTC"])
def test_only_one_name_alone_has_no_column(names: str | list[str]) -> None:
    expected = {BTC} if not isinstance(names, str) or "," not in names else set()
    found = read.candles(names, *DAYS, "1d")
    assert set(found.get("instrument_name", ())) == expected


@pytest.mark.parametrize(
    ("select", "rows"),
    [
        (lambda: read.funding([BTC, ETH], *DAYS), 2 * 3 * 24),
        (lambda: read.cumulative_funding([BTC, ETH], *DAYS, -10), 2 * 3 * 24),
        (lambda: read.realised_volatility([BTC, ETH], *DAYS, 60, 12), 2 * 3 * 24),
        (lambda: read.open_interest("BTC-PERPETUAL,BTC-29MAR24", *DAYS), 2 * 3),
        (lambda: read.historical_prices("perpetual", 2), 2 * 2 * 24),
        (lambda: read.rows("funding_rates", "perpetual", *DAYS), 2 * 3 * 24),
    ],
)
def test_each_function_reads_several(select: Callable[[], pd.DataFrame], rows: int) -> None:
    found = select()
    assert len(found) == rows
    assert found["instrument_name"].nunique() == 2


def test_the_same_several_rows_come_as_arrow_and_polars() -> None:
    frame = read.candles([BTC, ETH], *DAYS, "1d").reset_index()
    table = read.candles([BTC, ETH], *DAYS, "1d", frame="arrow")
    assert table.select(frame.columns).to_pydict() == frame.to_dict("list")
    assert read.candles([BTC, ETH], *DAYS, "1d", frame="polars").shape == (6, 8)


def test_a_selector_selects_what_was_listed_in_the_window_expired_since_or_not() -> None:
    with pytest.raises(IncompleteDays) as error:
        read.trades("kind=option currency=BTC expiry=2024-01-05", "2024-01-01", "2024-01-14")
    assert error.value.series == OPTIONS[0]
    assert sorted(error.value.days) == [date(2024, 1, day) for day in (2, 3, 4, 5)]
    assert f"Days of {OPTIONS[1]} are not complete either" in str(error.value)
    with pytest.raises(InputError, match="selects no instrument that was listed from 2024-01-06"):
        read.trades("kind=option currency=BTC", "2024-01-06", "2024-01-14")


def test_the_first_of_several_incomplete_series_is_named_and_how_many_more() -> None:
    names = [f"SOL-{day}JAN24" for day in range(10, 20)]
    with pytest.raises(IncompleteDays, match=r"^SOL-10JAN24 has no .* SOL-15JAN24 and 4 more are"):
        read.candles(names, *DAYS)


@pytest.mark.parametrize(
    ("dataset", "series", "advice"),
    [
        ("trades", BTC, r"backfill \(trades of BTC-PERPETUAL from 2024-01-02 to 2024-01-04\), or"),
        (
            "index_prices",
            "btc_usd",
            r"to 2024-01-04, of which only the newest days are available\)",
        ),
        ("book_summaries", "BTC", "what was not recorded is lost, and deribit-pipeline record"),
    ],
)
def test_the_advice_is_what_can_be_done(dataset: str, series: str, advice: str) -> None:
    with pytest.raises(IncompleteDays, match=advice):
        read.rows(dataset, series, *DAYS)


def test_an_unknown_name_gets_the_nearest_known_ones() -> None:
    unknown = r"^BTC-PERPETUEL is not in the list of BTC.s instruments of .* Did you mean BTC-PERP"
    for function in (read.candles, read.open_interest):
        with pytest.raises(InputError, match=unknown):
            function("BTC-PERPETUEL", *DAYS)
    # No list of SOL was ever fetched: it may exist.
    with pytest.raises(IncompleteDays, match=r"Did you mean ETH-PERPETUAL .*\? If not, fetch them"):
        read.candles("SOL-PERPETUAL", *DAYS)


def test_instruments_are_those_of_a_moment() -> None:
    names = {
        as_of: set(read.instruments("currency=BTC", as_of=as_of).index)
        for as_of in ("2024-01-01", "2024-01-02", "2024-01-05T08:00", "2024-01-05", None)
    }
    everything = {BTC, *OPTIONS}
    assert names["2024-01-02"] == names["2024-01-05"] == everything
    assert names["2024-01-01"] == names["2024-01-05T08:00"] == names[None] == {BTC}
    assert set(read.instruments("currency=BTC expired").index) == everything


def test_a_selector_needs_a_list_that_is_not_older_than_the_window() -> None:
    stale = r"lists of instruments are of 2024-02-01 00:00 UTC and may be missing some that kind="
    with pytest.raises(InputError, match=stale):
        read.instruments("kind=option", as_of="2024-02-02")
    with pytest.raises(InputError, match=stale):
        read.candles("kind=future currency=BTC", "2024-01-01", "2024-02-02")
    with pytest.raises(InputError, match=r"^The instruments of SOL were never listed: fetch"):
        read.candles("kind=future currency=SOL", "2024-01-01", "2024-01-02")


def test_what_is_known_of_each_day_is_its_condition() -> None:
    found = read.condition("trades", BTC, "2024-01-01", "2024-01-02")
    assert found["condition"].tolist() == ["complete", "missing"]
    assert found["rows"].fillna(-1).tolist() == [24, -1]
    assert found["proved_at"].dt.strftime("%F").fillna("").tolist() == ["2024-02-01", ""]
    several = read.condition("candles", [ETH, BTC], "2024-01-14", "2024-01-15")
    assert several["series"].tolist() == [ETH, BTC, ETH, BTC]


def test_coverage_counts_the_days_of_each_series() -> None:
    found = read.coverage()
    assert found.loc[("funding_rates", ETH), ["complete", "rows"]].tolist() == [14, 14 * 24]
    assert set(read.coverage("candles").index) == {("candles_1m", name) for name in NAMES}
