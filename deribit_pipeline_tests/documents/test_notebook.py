"""The notebook runs from the first cell to the last on a warehouse with its data."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pytest

from deribit_pipeline.datasets.funding_rates.table import TABLE as FUNDING_RATES
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.proof_tables import DATASET_DAYS
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.inserted_rows import hold, hold_minutes
from deribit_pipeline_tests.helpers.notebooks import run_notebook
from deribit_pipeline_tests.helpers.processes import name_warehouse

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "volatility_and_funding.py"
NAME, FIRST, LAST = "BTC-PERPETUAL", date(2024, 1, 1), date(2024, 1, 12)


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """Twelve days of minutes."""
    warehouse = Warehouse(tmp_path / "w.duckdb", Environment.SANDBOX)
    name_warehouse(monkeypatch, warehouse.location, tmp_path)
    steps = np.random.default_rng(1).normal(0, 1e-3, 12 * 1_440)
    closes = 42_000 * np.exp(np.cumsum(steps))
    opens = np.concatenate(([42_000], closes[:-1]))
    highs, lows = np.maximum(opens, closes), np.minimum(opens, closes)
    hold_minutes(warehouse, NAME, FIRST, np.column_stack((opens, highs, lows, closes)))
    return warehouse


def run() -> tuple[list[Any], dict[str, Any]]:
    """The output of the cells, and their definitions."""
    return run_notebook(
        NOTEBOOK, {"instrument": NAME, "first_day": str(FIRST), "last_day": str(LAST)}
    )


def test_the_notebook_draws_price_cone_and_funding(held: Warehouse) -> None:
    days = [FIRST + timedelta(days=n) for n in range(12)]
    hours = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(12 * 24)]
    rate = {"instrument_name": NAME, "interest_1h": 1e-5}
    hold(held, FUNDING_RATES, *({"funded_at": hour} | rate for hour in hours))
    proof = {"dataset": "funding_rates", "series": NAME, "state": "complete"}
    hold(held, DATASET_DAYS, *({"day": day} | proof for day in days))
    shown, defined = run()
    charts = [each for each in shown if isinstance(each, alt.TopLevelMixin)]
    assert [type(chart) for chart in charts] == [alt.Chart, alt.LayerChart, alt.VConcatChart]
    for chart in charts:
        chart.to_dict()
    cone = defined["cone"]
    assert cone["days"].tolist() == [0.5, 1, 2, 3, 5, 7, 10]
    assert (cone["lowest"] <= cone["median"]).all()
    assert defined["hours"]["paid"].iloc[-1] == pytest.approx(100 * 288e-5)


def test_where_funding_is_missing_the_notebook_shows_how_to_fetch_it(held: Warehouse) -> None:
    shown, _ = run()
    assert any("backfill (funding_rates of" in str(getattr(each, "text", "")) for each in shown)
