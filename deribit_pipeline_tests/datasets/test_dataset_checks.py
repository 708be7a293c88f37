"""The rules of every dataset but candles, as asset checks in Dagster."""

import shutil
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from deribit_pipeline.datasets.registry import ROW_DATASETS, series_of
from deribit_pipeline.datasets.rules import rules_of
from deribit_pipeline.definitions import build_definitions
from deribit_pipeline.defs.checks import dataset_checks
from deribit_pipeline.domain.dataset import Dataset, Group
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.exchange.session import spool_of
from deribit_pipeline.opening import open_exchange
from deribit_pipeline.sandbox.exchange import CLIENT_ID, CLIENT_SECRET, SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.sandbox.server import serving
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import HELD_UNTIL as NOW
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.defs.test_assets import QUIET
from deribit_pipeline_tests.helpers.spooled import Recordings
from deribit_pipeline_tests.helpers.written_warehouse import forget_datasets

NAMES = ("BTC-PERPETUAL", "SOL_USDC-PERPETUAL")
LAST = NOW.date() - timedelta(days=1)
FIRST = LAST - timedelta(days=1)


def series_here(dataset: Dataset) -> tuple[str, ...]:
    """The series that are held: of recorded datasets, those that are recorded."""
    return ("BTC",) if dataset.is_recorded else series_of(dataset, NAMES)


each_dataset = pytest.mark.parametrize("dataset", ROW_DATASETS, ids=lambda dataset: dataset.name)


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of every dataset, from the sandbox."""
    path = tmp_path_factory.mktemp("everything") / "warehouse.duckdb"
    days = list(days_between(FIRST, LAST))
    sandbox = SandboxExchange(Clock(NOW), per_second=0)
    with serving(sandbox, Faults()) as url:
        settings = Settings(
            Environment.SANDBOX, url, CLIENT_ID, CLIENT_SECRET,
            warehouse=path, requests_per_second=1_000_000.0, spool=path.parent / "spool",
        )  # fmt: skip
        spool = spool_of(settings)
        with spool.recording():
            recordings = Recordings(spool, sandbox, "BTC", timedelta(hours=1))
            recordings.record(slot for day in days for slot in recordings.slots(day))
        with open_exchange(settings) as exchange:
            here = ForegroundBackfill(exchange, Warehouse(path, Environment.SANDBOX))
            for dataset in ROW_DATASETS:
                job = Job("a run", dict.fromkeys(series_here(dataset), days))
                assert here.backfill(dataset, job).failures == {}, dataset
    return path


@pytest.fixture
def held(everything: Path, tmp_path: Path) -> Warehouse:
    return Warehouse(Path(shutil.copy(everything, tmp_path)), Environment.SANDBOX)


def evaluations(warehouse: Warehouse, dataset: Dataset) -> dict[str, dg.AssetCheckEvaluation]:
    checks = dataset_checks(dataset, warehouse, series_here(dataset), lambda: NOW, is_on=True)
    job = dg.define_asset_job("check", selection=dg.AssetSelection.all_asset_checks())
    location = dg.Definitions(
        assets=[dg.AssetSpec(dataset.name)], asset_checks=[checks], jobs=[job]
    )
    with dg.DagsterInstance.ephemeral() as instance:
        result = location.resolve_job_def("check").execute_in_process(
            instance=instance, run_config=QUIET
        )
    return {each.check_name: each for each in result.get_asset_check_evaluations()}


def test_every_asset_has_every_check_that_fits(settings: Settings) -> None:
    graph = build_definitions(settings).resolve_asset_graph()
    for dataset in ROW_DATASETS:
        keys = graph.get_check_keys_for_assets({dg.AssetKey(dataset.name)})
        expected = set() if dataset.group is Group.ACCOUNT else set(rules_of(dataset))
        names = {rule.name for rule in expected}
        assert {key.name for key in keys} == names | (
            {"is_recording"} if dataset.recorder else set()
        )


@each_dataset
def test_where_all_rows_are_sound_every_check_passes(held: Warehouse, dataset: Dataset) -> None:
    for each in evaluations(held, dataset).values():
        # The oldest part of the two-day chart is no longer returned by the exchange.
        if dataset.name == "index_prices" and each.check_name == "has_no_gaps":
            assert not each.passed
            continue
        assert each.passed, (each.check_name, each.description)


@each_dataset
def test_a_file_of_an_older_version_holds_nothing(sound: Warehouse, dataset: Dataset) -> None:
    with sound.writing() as connection:
        forget_datasets(connection)
        connection.execute("update warehouse_info set schema_version = 1")
    for each in evaluations(sound, dataset).values():
        assert each.passed
        assert each.description == f"No days of {dataset.label} are stored."


@pytest.mark.parametrize(
    ("name", "rule", "change"),
    [
        ("funding_rates", "hours_are_unique_and_full",
         "insert into funding_rates from funding_rates"),
        ("funding_rates", "eight_hour_funding_adds_up", "update funding_rates set interest_8h = 1"),
        ("volatility_index", "agrees_with_one_minute_candles",
         "update volatility_index set high = high + 1 where resolution = '3600'"),
        ("candles_rebuilt", "agrees_with_exchange",
         "insert into candles select * exclude trades replace (open + 1 as open) from "
         "(select instrument_name, '1' as resolution, * exclude instrument_name "
         "from candles_rebuilt)"),
        ("historical_volatility", "hours_are_unique_and_positive",
         "update historical_volatility set volatility = -1"),
        ("index_prices", "prices_are_positive", "update index_prices set price = 0"),
        ("delivery_prices", "has_a_price_every_day",
         "update delivery_prices set delivery_date = delivery_date - 7 "
         f"where delivery_date = '{FIRST}'"),
        ("trades", "has_no_gaps", "update dataset_days set missing = 3, state = 'gapped'"),
        ("trades", "no_past_day_is_open",
         "update dataset_days set state = 'open', fetched_at = fetched_at + interval 3 day"),
        ("book_summaries", "bids_are_below_asks", "update book_summaries set bid_price = 1e6"),
        ("book_summaries", "one_forward_per_expiry",
         "insert into book_summaries select summary.* replace ('option' as kind, "
         "'BTC-12APR24-' || n as instrument_name, n as underlying_price) "
         "from book_summaries as summary, range(2) as twice(n)"),
        ("book_summaries", "open_interest_agrees_with_settlements",
         "insert into book_summaries select summary.* replace (settled_at as snapshot_at, "
         "2 * position as open_interest) from book_summaries as summary join (select "
         "instrument_name, position, settled_at from settlements where position > 0) "
         "using (instrument_name)"),
        ("book_summaries", "marks_agree_with_trades",
         "insert into book_summaries select summary.* replace (traded_at as snapshot_at, "
         "'option' as kind, 2 * trades.mark_price as mark_price) "
         "from book_summaries as summary join trades using (instrument_name) limit 5"),
        ("settlements", "is_fresh",
         "update dataset_days set day = day - 30 where dataset = 'settlements'"),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_shown_with_its_rows(
    held: Warehouse, name: str, rule: str, change: str
) -> None:
    with held.writing() as connection:
        connection.execute(change)
    [dataset] = [dataset for dataset in ROW_DATASETS if dataset.name == name]
    broken = evaluations(held, dataset)[rule]
    assert not broken.passed
    assert broken.metadata["rows"].value > 0
    assert "select" in broken.metadata["sql"].value
