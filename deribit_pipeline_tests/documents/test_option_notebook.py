"""The notebook of option chains runs from the first cell to the last on recorded snapshots."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import altair as alt
import pytest

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.proof_tables import DATASET_DAYS
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.inserted_rows import hold
from deribit_pipeline_tests.helpers.notebooks import run_notebook
from deribit_pipeline_tests.helpers.option_chains import (
    Market,
    expiry_after,
    insert_rows,
    options_of,
)
from deribit_pipeline_tests.helpers.processes import name_warehouse

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "option_chains.py"
DAY = datetime(2026, 9, 1, tzinfo=UTC)
STRIKES = [30_000 + 2_000 * number for number in range(40)]


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """A day of hourly snapshots, in which the price and the volatility move."""
    warehouse = Warehouse(tmp_path / "w.duckdb", Environment.SANDBOX)
    name_warehouse(monkeypatch, warehouse.location, tmp_path)
    with warehouse.writing() as connection:
        for hour in range(24):
            price = 60_000 + 150 * (-1) ** hour * (hour % 5)
            market = Market(
                price=price, strikes=[each / price for each in STRIKES],
                volatility=0.6 + 0.002 * (hour % 3),
            )  # fmt: skip
            expiries = [expiry_after(DAY, days) for days in (3, 25, 60)]
            insert_rows(connection, options_of(market, DAY + timedelta(hours=hour), expiries))
    return warehouse


def run() -> tuple[list[Any], dict[str, Any]]:
    return run_notebook(NOTEBOOK, {"currency": "BTC", "moment": None, "days_of_option": 30})


def test_the_notebook_draws_smiles_a_term_structure_and_a_hedged_option(held: Warehouse) -> None:
    proof = {"dataset": "book_summaries", "series": "BTC", "day": DAY.date(), "expected": 24}
    hold(held, DATASET_DAYS, proof | {"state": "complete"})
    shown, defined = run()
    charts = [each for each in shown if isinstance(each, alt.TopLevelMixin)]
    assert [type(chart) for chart in charts] == [alt.LayerChart, alt.VConcatChart, alt.Chart]
    for chart in charts:
        chart.to_dict()
    assert defined["option"] == "BTC-26SEP26-60000-C"
    assert len(defined["hedged"]) == 24
    assert defined["hedged"]["earned"].abs().max() > 100
    assert defined["unexplained"] < 0.05 * defined["hedged"]["earned"].abs().max()


def test_where_snapshots_are_missing_the_notebook_shows_what_to_do(
    held: Warehouse,
) -> None:
    shown, _ = run()
    said = " ".join(str(getattr(each, "text", "")) for each in shown)
    assert "BTC has no complete book summaries of 2026-09-01" in said
