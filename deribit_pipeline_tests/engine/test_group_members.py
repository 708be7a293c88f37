"""Each instrument belongs to one group."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.engine.group_members import PLAIN, by_group, group_of, members_of
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.instruments.refresh import refresh
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import Clock

CANDLES_1M, SETTLEMENTS = DATASETS["candles_1m"], DATASETS["settlements"]


def with_groups(settings: Settings, plain: str, groups: str) -> Settings:
    """The settings with these texts of DERIBIT_INSTRUMENTS and DERIBIT_GROUPS."""
    read = Settings.from_env({"DERIBIT_INSTRUMENTS": plain, "DERIBIT_GROUPS": groups})
    return replace(
        settings, instruments=read.instruments, selectors=read.selectors, groups=read.groups
    )


@pytest.fixture
def listed(
    opened: Callable[..., Exchange],
    warehouse: Warehouse,
    clock: Clock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Warehouse:
    """A warehouse with the listings of BTC after BTC-5JAN24 has expired."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    clock.now = datetime(2024, 1, 6, tzinfo=UTC)
    refresh(opened(), warehouse, "BTC")
    return warehouse


def test_names_need_no_warehouse(settings: Settings, warehouse: Warehouse) -> None:
    grouped = with_groups(settings, "BTC-PERPETUAL", "alts: SOL_USDC-PERPETUAL; eth: ETH-PERPETUAL")
    members = members_of(grouped, warehouse)
    assert members == {"SOL_USDC-PERPETUAL": "alts", "ETH-PERPETUAL": "eth"}
    assert not warehouse.exists()
    names = ("ETH-PERPETUAL", "BTC-PERPETUAL", "XRP_USDC-PERPETUAL")
    assert by_group(CANDLES_1M, names, members) == {
        "eth": ["ETH-PERPETUAL"], PLAIN: ["BTC-PERPETUAL", "XRP_USDC-PERPETUAL"],
    }  # fmt: skip


def test_series_that_are_no_instruments_are_in_no_group() -> None:
    assert group_of(SETTLEMENTS, "BTC", {"BTC": "alts"}) == PLAIN


def test_a_name_counts_before_a_selector_and_the_first_selector_before_the_others(
    settings: Settings, listed: Warehouse
) -> None:
    grouped = with_groups(
        settings,
        "ETH-PERPETUAL, BTC-29MAR24",
        "swaps: kind=future perpetual; dated: kind=future currency=BTC; one: BTC-26JAN24",
    )
    members = members_of(grouped, listed)
    assert members["BTC-PERPETUAL"] == "swaps"
    assert members["BTC-26JAN24"] == "one"
    assert "BTC-29MAR24" not in members


def test_an_instrument_stays_in_its_group_when_it_expires(
    settings: Settings, listed: Warehouse
) -> None:
    grouped = with_groups(settings, "ETH-PERPETUAL", "dated: kind=future currency=BTC")
    assert members_of(grouped, listed)["BTC-5JAN24"] == "dated"


def test_selectors_of_the_plain_assets_count_before_those_of_groups(
    settings: Settings, listed: Warehouse
) -> None:
    plain, groups = "kind=future perpetual currency=BTC", "dated: kind=future currency=BTC"
    members = members_of(with_groups(settings, plain, groups), listed)
    assert "BTC-PERPETUAL" not in members
    assert members["BTC-29MAR24"] == "dated"
