"""Proofs are recomputed while other processes write."""

from dataclasses import replace
from datetime import timedelta

import pytest

from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.engine import verification
from deribit_pipeline.engine.verification import Verification, verify
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import every_store
from deribit_pipeline_tests.helpers import dataset_rows
from deribit_pipeline_tests.helpers.dataset_rows import CAME, DAY, NAME, any_rows
from deribit_pipeline_tests.helpers.written_warehouse import FIRST, fetched, file, write

__all__ = ["file"]

FAR = FIRST + timedelta(days=150)


def returned(trades: int) -> FetchedDay:
    """A day of trades."""
    came = CAME + timedelta(minutes=trades)
    return FetchedDay(NAME, DAY, any_rows(TRADES, trades), came, is_confirmed=True)


@every_store
def test_days_that_are_written_again_meanwhile_are_compared_with_their_new_proofs(
    file: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "_MOST_DAYS", 1)
    write(file, fetched(), fetched(FAR, absent=(3, 4)))
    dataset_rows.write(file, returned(3), dataset=TRADES)
    so_far = []

    def meanwhile(result: Verification) -> None:
        so_far.append(result.days)
        if len(so_far) == 1:
            again = fetched(FAR, price=0.5)
            write(file, replace(again, as_of=again.as_of + timedelta(minutes=1)))
            dataset_rows.write(file, returned(4), dataset=TRADES)

    result = verify(file, on_verified=meanwhile)
    assert result.findings == []
    assert so_far == [1, 2, 3]
    assert result.rows == 2 * 1_440 + 4


def test_two_proofs_of_a_day_are_named_once_wherever_a_piece_ends(
    file: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "_MOST_DAYS", 1)
    dataset_rows.write(file, returned(3), dataset=TRADES)
    with file.writing() as connection:
        connection.execute("insert into dataset_days from dataset_days")
    [finding] = [finding for finding in verify(file).findings if finding.day]
    assert (finding.day, finding.contradictions) == (DAY, ["the day has two proofs"])
