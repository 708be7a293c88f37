"""The page of smiles: what it draws of a snapshot, and what `chart --smile` refuses."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deribit_pipeline.datasets.book_summaries.smile_reads import Smiles, smiles_at
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.pages.smile_page import smile_page
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.configured_commands import Command, assert_wrong
from deribit_pipeline_tests.helpers.option_chains import (
    RECEIVED_AFTER,
    Market,
    expiry_after,
    insert_rows,
    open_tables,
    options_of,
)
from deribit_pipeline_tests.pages.test_pictures import data, views

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
EXPIRIES = [expiry_after(NOON, days) for days in (1, 25, 60)]
MARKETS = (Market("SOL_USDC", "USDC", 150), Market("XRP_USDC", "USDC", 0.52))


@pytest.fixture(scope="module")
def smiles() -> Smiles:
    """Two indices of USDC."""
    with open_tables() as connection:
        for market in MARKETS:
            insert_rows(connection, options_of(market, NOON, EXPIRIES))
        found = smiles_at(connection, "USDC", NOON + RECEIVED_AFTER)
    assert found
    return found


@pytest.fixture
def held(settings: Settings) -> None:
    """Two snapshots of BTC in the warehouse."""
    assert isinstance(settings.warehouse, Path)
    with Warehouse(settings.warehouse, Environment.SANDBOX).writing() as connection:
        for moment in (NOON, NOON + timedelta(minutes=5)):
            insert_rows(connection, options_of(Market(strikes=(0.9, 1, 1.1)), moment, EXPIRIES))


def test_a_page_draws_each_index_by_itself(smiles: Smiles) -> None:
    drawn = views(smile_page(smiles, "w.duckdb"))
    assert [len(view["vconcat"]) for view in drawn] == [3, 3]
    names = {row["index_name"] for row in data(smile_page(smiles, "w.duckdb"))}
    assert names == {"sol_usdc", "xrp_usdc"}


def test_a_smile_is_drawn_of_options_out_of_the_money(smiles: Smiles) -> None:
    options = [row for row in data(smile_page(smiles, "w.duckdb")) if "mark_iv" in row]
    assert {row["expiry"] for row in options} == {f"{each:%Y-%m-%d}" for each in EXPIRIES}
    assert all(0.01 <= abs(float(row["delta"])) <= 0.6 for row in options)
    by_strike = [(row["index_name"], row["expiry"], float(row["strike"])) for row in options]
    assert by_strike == sorted(by_strike)
    assert len(set(by_strike)) == len(by_strike)


def test_open_interest_is_drawn_by_strike_of_all_expiries(smiles: Smiles) -> None:
    strikes = [row for row in data(smile_page(smiles, "w.duckdb")) if "call_open_interest" in row]
    assert len(strikes) == sum(len(market.strikes) for market in MARKETS)
    sums = {(row["call_open_interest"], row["put_open_interest"]) for row in strikes}
    assert sums == {("30.0", "15.0")}


def test_a_currency_without_snapshots_has_no_smiles() -> None:
    with open_tables() as connection:
        insert_rows(connection, options_of(MARKETS[0], NOON, EXPIRIES[:1]))
        assert smiles_at(connection, "USDC", NOON) is None
        assert smiles_at(connection, "BTC", NOON + RECEIVED_AFTER) is None


def test_chart_draws_the_newest_smile_or_that_of_a_moment(
    held: None, command: Command, tmp_path: Path
) -> None:
    for arguments, minute in (((), "12:05"), (("--at", "2026-09-01T12:01"), "12:00")):
        page = tmp_path / "smile.html"
        output = command("chart", "--smile", "BTC", "--html", str(page), *arguments)
        assert output.code == 0, output.err
        assert f"Snapshot of 2026-09-01 {minute}:00 UTC" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--smile", "btc"), "--smile must be one of BTC, ETH, .*, was 'btc'"),
        (("--smile", "BTC", "--at", "noon"), "--at must be a day such as .* was 'noon'"),
        (("--smile", "BTC", "--at", "2026-09-01T11:00"), "no snapshot of BTC options .* by 2026"),
        (("--smile", "ETH"), "no snapshot of ETH options"),
        (("--smile", "BTC", "--start", "2026-09-01"), "--smile has no --instruments, --start"),
        (("--instruments", "BTC-PERPETUAL", "--at", "2026-09-01"), "--at belongs to --smile"),
        ((), "--instruments for candles, or --smile for options"),
    ],
)
def test_chart_refuses_what_it_cannot_draw_of_options(
    held: None, command: Command, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    output = command("chart", "--html", str(tmp_path / "smile.html"), *arguments)
    assert_wrong(output, message)
    assert list(tmp_path.glob("smile.html*")) == []
