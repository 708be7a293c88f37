"""The verdict and the cross-check of a day are kept in its proof and in every copy of the day."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.funding_rates import FUNDING_RATES
from deribit_pipeline.datasets.registry import Selection
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.proofs import CrossCheck, FetchedDay, Proof
from deribit_pipeline.engine import migration
from deribit_pipeline.engine.backup_copy import back_up
from deribit_pipeline.engine.proof_reads import proofs
from deribit_pipeline.engine.proving import prove
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import every_store
from deribit_pipeline_tests.helpers import dataset_rows
from deribit_pipeline_tests.helpers.dataset_rows import CAME, DAY, NAME, any_rows
from deribit_pipeline_tests.helpers.written_warehouse import DATASET, fetched, file, write

__all__ = ["file"]

VERDICT = "the hour of 10:00 has volume 5, its minutes 4"
LATER = timedelta(minutes=1)

Day = tuple[Dataset, FetchedDay]


def proved(dataset: Dataset, day: FetchedDay, former: Proof | None = None) -> Proof:
    """The proof of a day of which the rows of `former` are held."""
    return prove(dataset, day, day.rows if former else None, former).proof


def days() -> list[Day]:
    rows = FetchedDay(NAME, DAY, any_rows(FUNDING_RATES, 24), CAME)
    return [(DATASET, fetched()), (FUNDING_RATES, rows)]


@pytest.mark.parametrize(("dataset", "day"), days(), ids=["candles", "rows"])
def test_a_verdict_and_a_cross_check_are_part_of_the_proof(
    dataset: Dataset, day: FetchedDay
) -> None:
    first = proved(dataset, replace(day, verdict=VERDICT, cross_check=CrossCheck.DISAGREES))
    assert (first.verdict, first.cross_check) == (VERDICT, CrossCheck.DISAGREES)
    assert (proved(dataset, day).verdict, proved(dataset, day).cross_check) == ("", CrossCheck.NONE)


@pytest.mark.parametrize(("dataset", "day"), days(), ids=["candles", "rows"])
@pytest.mark.parametrize("by", [LATER, -LATER], ids=["later", "older"])
def test_the_same_rows_without_a_comparison_keep_the_former_verdict(
    dataset: Dataset, day: FetchedDay, by: timedelta
) -> None:
    former = proved(dataset, replace(day, verdict=VERDICT, cross_check=CrossCheck.DISAGREES))
    assert proved(dataset, replace(day, as_of=day.as_of + by), former) is former


@pytest.mark.parametrize(("dataset", "day"), days(), ids=["candles", "rows"])
def test_an_older_response_changes_no_verdict(dataset: Dataset, day: FetchedDay) -> None:
    former = proved(dataset, replace(day, cross_check=CrossCheck.AGREES))
    older = replace(day, as_of=day.as_of - LATER, verdict=VERDICT, cross_check=CrossCheck.DISAGREES)
    assert proved(dataset, older, former) is former


@pytest.mark.parametrize(("dataset", "day"), days(), ids=["candles", "rows"])
def test_a_later_comparison_is_kept_though_the_rows_are_the_same(
    dataset: Dataset, day: FetchedDay
) -> None:
    former = proved(dataset, day)
    later = replace(day, as_of=day.as_of + LATER, cross_check=CrossCheck.AGREES)
    assert proved(dataset, later, former) == replace(
        former, fetched_at=later.as_of, cross_check=CrossCheck.AGREES
    )


def test_other_candles_do_not_keep_the_former_verdict() -> None:
    day = replace(fetched(), verdict=VERDICT, cross_check=CrossCheck.DISAGREES)
    former = prove(DATASET, day)
    other = prove(DATASET, fetched(price=0.5), former.rows, former.proof).proof
    assert (other.verdict, other.cross_check) == ("", CrossCheck.NONE)


def held(warehouse: Warehouse) -> list[tuple[str, str, CrossCheck]]:
    """Dataset, verdict and cross-check of each day."""
    with warehouse.reading() as connection:
        found = proofs(connection, Selection((CANDLES[Resolution.MINUTE_1], FUNDING_RATES)))
    return [
        (dataset.name, proof.verdict, proof.cross_check)
        for dataset, some in found.items()
        for proof in some
    ]


@every_store
def test_verdicts_are_written_copied_and_backed_up(file: Warehouse, tmp_path: Path) -> None:
    write(file, replace(fetched(), verdict=VERDICT, cross_check=CrossCheck.DISAGREES))
    rows = FetchedDay(NAME, DAY, any_rows(FUNDING_RATES, 24), CAME, verdict="all is well")
    dataset_rows.write(file, replace(rows, cross_check=CrossCheck.AGREES))
    expected = [
        ("candles_1m", VERDICT, CrossCheck.DISAGREES),
        ("funding_rates", "all is well", CrossCheck.AGREES),
    ]
    assert held(file) == expected
    back_up(file, tmp_path / "backup.duckdb")
    assert held(Warehouse(tmp_path / "backup.duckdb", Environment.SANDBOX)) == expected
    target = Warehouse(tmp_path / "target.duckdb", Environment.SANDBOX)
    assert migration.migrate(file, target).is_proved
    assert held(target) == expected
