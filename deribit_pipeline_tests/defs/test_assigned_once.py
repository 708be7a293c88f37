"""An instrument whose days are recorded in the assets of one group is refused in another."""

import shutil
from pathlib import Path

import dagster as dg
import pytest

from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.defs.asset_names import asset_key
from deribit_pipeline.defs.assigned_once import assign, require_unmoved, require_unmoved_here
from deribit_pipeline.engine.group_members import PLAIN
from deribit_pipeline.errors import MovedInstruments
from deribit_pipeline.home import prepare_home
from deribit_pipeline.settings import Settings

CANDLES_1M, TRADES, SETTLEMENTS = (
    DATASETS[name] for name in ("candles_1m", "trades", "settlements")
)
ROOT = Path(__file__).parents[2]
SOL, XRP, BTC = "SOL_USDC-PERPETUAL", "XRP_USDC-PERPETUAL", "BTC-PERPETUAL"


def record(instance: dg.DagsterInstance, name: str, group: str = PLAIN) -> None:
    """Record a day of one-minute candles."""
    key = f"{name}|2024-01-31"
    instance.report_runless_asset_event(
        dg.AssetMaterialization(asset_key(CANDLES_1M, group), partition=key)
    )


def test_an_instrument_stays_in_its_first_group(instance: dg.DagsterInstance) -> None:
    assign(instance, CANDLES_1M, [SOL, XRP], "alts")
    assign(instance, TRADES, [SOL], "alts")
    assert require_unmoved(instance, {SOL: "alts", XRP: "alts", BTC: PLAIN}) == {
        SOL: "alts", XRP: "alts",
    }  # fmt: skip
    for group in ("tail", PLAIN):
        with pytest.raises(MovedInstruments) as caught:
            assign(instance, TRADES, [BTC, SOL], group)
        assert f"The days of {SOL} are recorded in the assets of the group alts" in str(
            caught.value
        )
        assert "put them back into the group alts in DERIBIT_GROUPS" in str(caught.value)
    assert require_unmoved(instance, {BTC: "tail"}) == {}  # a refused run assigns nothing


def test_an_instrument_with_days_in_the_plain_assets_joins_no_group(
    instance: dg.DagsterInstance,
) -> None:
    record(instance, SOL)
    with pytest.raises(MovedInstruments) as caught:
        assign(instance, TRADES, [SOL], "alts")
    assert "recorded in the assets without a group" in str(caught.value)
    assert "take them out of the group" in str(caught.value)
    assign(instance, TRADES, [SOL], PLAIN)
    assign(instance, TRADES, [XRP], "alts")


def test_the_days_of_a_group_do_not_count_as_plain_ones(instance: dg.DagsterInstance) -> None:
    record(instance, SOL, "alts")
    assign(instance, CANDLES_1M, [SOL], "alts")
    assert require_unmoved(instance, {SOL: "alts"}) == {SOL: "alts"}


def test_a_currency_is_in_no_group(instance: dg.DagsterInstance) -> None:
    assign(instance, SETTLEMENTS, ["BTC"], "alts")
    assert require_unmoved(instance, {"BTC": "tail"}) == {}


def test_what_was_moved_is_refused_where_the_definitions_load(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    require_unmoved_here({SOL: "tail"})
    monkeypatch.setenv("DAGSTER_HOME", str(settings.dagster_home.absolute()))
    require_unmoved_here({SOL: "tail"})  # nothing is there yet
    assert not settings.dagster_home.exists()
    prepare_home(settings.dagster_home)
    with dg.DagsterInstance.get() as instance:
        assign(instance, CANDLES_1M, [SOL], "alts")
    require_unmoved_here({SOL: "alts"})
    with pytest.raises(MovedInstruments, match=f"{SOL} are recorded in the assets of the group"):
        require_unmoved_here({SOL: "tail"})


def test_a_home_that_cannot_be_opened_does_not_keep_the_definitions_from_loading(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.dagster_home.mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "dagster.yaml", settings.dagster_home)  # of a database elsewhere
    monkeypatch.delenv("DAGSTER_PG_HOST", raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(settings.dagster_home.absolute()))
    with pytest.raises(dg.DagsterError):
        dg.DagsterInstance.get()
    require_unmoved_here({SOL: "tail"})
