"""The picture of curves in a run's metadata, and the smiles that are drawn with it."""

import base64
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from deribit_pipeline.datasets.book_summaries.previews import previews
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.engine.previews import Curves
from deribit_pipeline.pages.curves_picture import curves_url
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.option_chains import (
    Market,
    expiry_after,
    insert_rows,
    options_of,
)

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)


def drawn(*curves: Curves) -> str:
    kind, _, text = curves_url(curves).partition(",")
    assert kind == "data:image/svg+xml;base64"
    return base64.b64decode(text).decode()


def test_each_curve_is_a_line_from_the_first_colour_to_the_last() -> None:
    smile = [(50.0, 80.0), (100.0, 60.0), (200.0, 70.0)]
    svg = drawn(Curves("a title", {"first": smile, "between": smile, "last": smile}))
    lines = re.findall(r'<path fill="none" stroke="(#\w+)" d="M([^"]*)"/>', svg)
    assert [colour for colour, _ in lines] == ["#d95f02", "#7c7e46", "#1f9e89"]
    # Strikes are on a logarithmic axis, volatilities from the lowest to the highest.
    assert {points for _, points in lines} == {"72.0 26.0L356.0 196.0L640.0 111.0"}
    assert {"a title", "first", "to last", "60", "80"} <= set(re.findall(r">([^<>]+)</text>", svg))


def test_a_single_point_or_none_is_drawn_too() -> None:
    assert "M72.0 26.0" in drawn(Curves("one", {"only": [(100.0, 60.0)]}))
    assert "one" in drawn(Curves("one", {}))


def test_a_run_is_previewed_by_the_newest_smiles_of_its_last_day(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path / "w.duckdb", Environment.SANDBOX)
    expiries = [expiry_after(NOON, days) for days in (2, 25)]
    with warehouse.writing() as connection:
        for moment in (NOON, NOON + timedelta(hours=1), NOON + timedelta(days=1)):
            insert_rows(connection, options_of(Market(), moment, expiries))
        for market in (Market("SOL_USDC", "USDC", 150), Market("XRP_USDC", "USDC", 0.5)):
            insert_rows(connection, options_of(market, NOON, expiries))
    day = NOON.date()
    found = previews(warehouse, {"BTC": [day], "ETH": [day], "USDC": [day]})
    assert [each.title.partition(":")[0] for each in found] == [
        "btc_usd, 2026-09-01 13", "sol_usdc, 2026-09-01 12", "xrp_usdc, 2026-09-01 12",
    ]  # fmt: skip
    for each in found:
        assert list(each.curves) == [f"{expiry:%Y-%m-%d}" for expiry in expiries]
        for points in each.curves.values():
            assert points == sorted(points)
    assert previews(warehouse, {"BTC": [date(2026, 9, 3)]}) == []
