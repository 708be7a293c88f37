"""A warehouse of a former version opens and verifies, and nothing is fetched again."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.engine.row_reads import rows_of
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.warehouse.golden.held import golden, golden_days
from deribit_pipeline_tests.warehouse.golden.make import hashes

VERSIONS = [4, 5, 6]


@pytest.fixture(params=VERSIONS, ids=lambda version: f"version {version}")
def version(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture
def former(version: int, tmp_path: Path) -> Warehouse:
    return golden(version, tmp_path)


def test_a_golden_warehouse_has_days_of_every_dataset_and_state(version: int) -> None:
    days = golden_days(version)
    assert {name for name, *_ in days} >= {
        name for name in DATASETS if not name.startswith(("candles_", "book_")) or name in (
            "candles_1m", "candles_1h", "candles_3h", "candles_1d", "candles_rebuilt"
        )
    }  # fmt: skip
    assert {state for _, _, _, state, *_ in days} == {"complete", "open", "gapped", "not_listed"}


def test_a_golden_warehouse_verifies(version: int, former: Warehouse) -> None:
    result = verify(former)
    days = golden_days(version)
    assert result.findings == []
    assert result.days == len(days)
    assert result.rows == sum(int(received) for *_, received, _, _ in days)


def test_a_golden_warehouse_is_read_bit_for_bit(version: int, former: Warehouse) -> None:
    assert hashes(former) == golden_days(version)
    with former.reading() as connection:
        for name, series, day, *_, content in golden_days(version):
            dataset, at = DATASETS[name], date.fromisoformat(day)
            rows = rows_of(connection, dataset, series, at)
            found = dataset.proof_rules.content_hash(rows)
            assert found == content, (name, series, day)


def test_proved_days_of_a_golden_warehouse_are_not_fetched_again(
    version: int, former: Warehouse, opened: Callable[..., Exchange]
) -> None:
    here = ForegroundBackfill(opened(), former)
    proved: dict[str, dict[str, list[date]]] = {}
    for name, series, day, state, *_ in golden_days(version):
        if state in ("complete", "not_listed"):
            proved.setdefault(name, {}).setdefault(series, []).append(date.fromisoformat(day))
    for name, days in proved.items():
        outcome = here.backfill(DATASETS[name], Job("a run", days))
        assert (outcome.requests, outcome.rows, outcome.failures) == (0, 0, {})
        assert len(outcome.proofs) == sum(map(len, days.values()))
