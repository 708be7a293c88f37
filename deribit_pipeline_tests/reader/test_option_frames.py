"""Chains and smiles of a moment: the snapshot that was known then, or an error that says that it is
missing."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from deribit_pipeline import read
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.proof_tables import DATASET_DAYS
from deribit_pipeline.errors import IncompleteDays, InputError
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.inserted_rows import hold
from deribit_pipeline_tests.helpers.option_chains import (
    RECEIVED_AFTER,
    Market,
    expiry_after,
    insert_rows,
    options_of,
)
from deribit_pipeline_tests.helpers.processes import name_warehouse

DAY = datetime(2024, 1, 14, tzinfo=UTC)
STORED = [DAY + timedelta(hours=hour) for hour in (0, 1, 2, 3, 4, 5, 8, 9, 10, 11)]
"""The snapshots of the 14th: hourly, of which two are missing, up to 11:00."""

MARKETS = {
    "BTC": Market(strikes=(0.9, 1, 1.1)),
    "USDC": Market("SOL_USDC", "USDC", 150, strikes=(0.9, 1, 1.1)),
}
EXPIRIES = [expiry_after(DAY, days) for days in (7, 30)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("options") / "w.duckdb"
    warehouse = Warehouse(path, Environment.SANDBOX)
    for currency, market in MARKETS.items():
        with warehouse.writing() as connection:
            for moment in STORED:
                insert_rows(connection, options_of(market, moment, EXPIRIES))
        proof = {"dataset": "book_summaries", "series": currency, "day": DAY.date()}
        counts = {"expected": 24, "received": 10, "missing": 2}
        hold(warehouse, DATASET_DAYS, proof | counts | {"state": "open"})
    return path


@pytest.fixture(autouse=True)
def environment(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name_warehouse(monkeypatch, place, tmp_path)


def hour_of(moment: str | None, *, complete_only: bool = True) -> int:
    """The hour of the snapshot that is read."""
    chain = read.option_chain("BTC", moment, complete_only=complete_only)
    [snapshot_at] = chain["snapshot_at"].unique()
    return int(snapshot_at.hour)


def test_a_chain_is_that_which_was_known_at_the_moment() -> None:
    assert hour_of("2024-01-14T04:30") == 4
    assert hour_of(f"2024-01-14T04:00:{RECEIVED_AFTER.seconds:02}") == 4
    assert hour_of("2024-01-14T04:00:01") == 3  # that of 04:00 had not been received
    assert hour_of("2024-01-14T06:30+02:00") == 4


def test_without_a_moment_the_newest_stored_snapshot_is_read() -> None:
    assert hour_of(None) == 11
    smile = read.option_smile("BTC")
    assert smile["snapshot_at"].unique().tolist() == [STORED[-1]]
    assert smile.index.tolist() == EXPIRIES


@pytest.mark.parametrize(
    ("moment", "state", "earlier"),
    [
        ("2024-01-14T07:30", "open, no snapshot since 2024-01-14 05:00", 5),
        ("2024-01-14T13:00:10", "open, no snapshot since 2024-01-14 11:00", 11),
        ("2024-01-14", "open, no snapshot since 2024-01-14 11:00", 11),
        ("2024-01-15T00:30", "never requested", 11),
    ],
)
def test_a_missing_snapshot_is_an_incomplete_day(moment: str, state: str, earlier: int) -> None:
    for function in (read.option_chain, read.option_smile):
        with pytest.raises(
            IncompleteDays, match=r"book summaries of .*complete_only=False"
        ) as found:
            function("BTC", moment)
        assert list(found.value.days.values()) == [state]
    assert hour_of(moment, complete_only=False) == earlier


def test_a_snapshot_that_was_received_later_is_not_missing() -> None:
    assert hour_of("2024-01-14T09:00:01") == 8
    for moment in ("2024-01-14T06:00:01", "2024-01-14T07:00", "2024-01-14T08:00:01"):
        with pytest.raises(IncompleteDays, match="no snapshot since 2024-01-14 05:00"):
            read.option_chain("BTC", moment)


def test_before_the_first_snapshot_there_is_none() -> None:
    with pytest.raises(IncompleteDays, match="2024-01-13"):
        read.option_chain("BTC", "2024-01-13T12:00")
    assert len(read.option_chain("BTC", "2024-01-13T12:00", complete_only=False)) == 0
    with pytest.raises(IncompleteDays, match="ETH has no complete book summaries"):
        read.option_smile("ETH")


def test_several_currencies_are_read_in_one_frame() -> None:
    chain = read.option_chain(["BTC", "USDC"])
    assert chain.columns[0] == "currency"
    assert chain.groupby("currency").size().to_dict() == {"BTC": 12, "USDC": 12}
    assert chain.index.is_unique
    smile = read.option_smile(["BTC", "USDC"], frame="arrow")
    assert smile.column("index_name").to_pylist() == ["btc_usd"] * 2 + ["sol_usdc"] * 2


def test_a_chain_has_both_times_and_its_documented_columns() -> None:
    chain = read.option_chain("BTC")
    assert chain.shape == (12, 23)
    assert (chain["received_at"] - chain["snapshot_at"]).unique().tolist() == [RECEIVED_AFTER]
    assert read.option_smile("BTC").shape == (2, 10)


def test_arguments_of_a_chain_are_checked() -> None:
    with pytest.raises(InputError, match="moment must be a day such as .*, was 'noon'"):
        read.option_chain("BTC", "noon")
    with pytest.raises(InputError, match="moment .* is in the future"):
        read.option_chain("BTC", "2999-01-01")
    with pytest.raises(InputError, match="book_summaries is available for BTC, ETH"):
        read.option_smile("SOL")


def test_summaries_of_a_gapped_day_are_read_on_request_alone() -> None:
    day = str(DAY.date())
    with pytest.raises(IncompleteDays, match=r"2024-01-14 \(open, 2 missing\)"):
        read.book_summaries("BTC", day, day)
    rows = read.book_summaries("BTC", day, day, complete_only=False)
    assert rows.index.unique().tolist() == STORED
    assert rows["received_at"].notna().all()


def test_open_interest_within_a_day_is_that_of_snapshots() -> None:
    name = f"BTC-{EXPIRIES[0]:%-d%b%y}-60000-C".upper()
    found = read.open_interest(
        name, DAY, DAY + timedelta(hours=5), intraday=True, complete_only=False
    )
    assert found.index.tolist() == STORED[:5]
    assert (found.index.name, found["open_interest"].unique().tolist()) == ("snapshot_at", [10])
    with pytest.raises(IncompleteDays, match="book summaries"):
        read.open_interest(name, date(2024, 1, 14), intraday=True)
