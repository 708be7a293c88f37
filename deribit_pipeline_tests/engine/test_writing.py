"""Days are written together up to a number of rows, however many days these are."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import numpy as np
import pytest

from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.engine import writing
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.engine.proved_days import DayWriter, Written
from deribit_pipeline.engine.writing import Writer
from deribit_pipeline.warehouse.place import Change, Connection, Result
from deribit_pipeline.warehouse.warehouse import Warehouse

FIRST = date(2024, 1, 1)


class Counted:
    """A warehouse and its writer of days, which keep how many days each transaction has."""

    location = None

    def __init__(self) -> None:
        self.transactions: list[int] = []

    def write(self, change: Change[Result], series: Collection[str]) -> Result:
        self.transactions.append(0)
        return change(cast("Connection", None))

    def write_days(self, *arguments: Any) -> Written:
        *_, days = arguments
        self.transactions[-1] += len(days)
        return Written()


class CountedDays:
    def __init__(self, counted: Counted) -> None:
        self.write = counted.write_days


async def unconfirmed(day: FetchedDay) -> None:
    raise AssertionError(day)


def transactions(rows: Sequence[int], *, is_bulky: bool = False) -> list[int]:
    """How many days are written in each transaction, of days with so many rows that are all
    fetched."""
    days = [
        FetchedDay("A", FIRST + timedelta(days=n), {"price": np.zeros(count)}, datetime.now(UTC))
        for n, count in enumerate(rows)
    ]
    job = Job("a run", {"A": [day.day for day in days]})
    counted = Counted()

    async def written() -> None:
        writer = Writer(
            cast("Warehouse", counted), cast("DayWriter", CountedDays(counted)),
            dict.fromkeys(job.series_days(), job), confirm=unconfirmed,
            on_written=lambda job, proofs: None, is_bulky=is_bulky,
        )  # fmt: skip
        async with asyncio.TaskGroup() as group:
            group.create_task(writer.run())
            for day in days:
                await writer.put(day)
            await writer.end()

    asyncio.run(written())
    return counted.transactions


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, days are not written because the first has waited."""
    monkeypatch.setattr(writing, "_GATHERING", 3_600.0)


def test_days_with_few_rows_are_written_in_one_transaction() -> None:
    assert transactions([1] * 1_000) == [1_000]


def test_days_are_written_together_up_to_a_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_ROWS_TOGETHER", 10)
    assert transactions([5, 4, 3, 9, 0, 1, 20, 2]) == [3, 3, 1, 1]


def test_each_bulky_day_is_written_by_itself() -> None:
    assert transactions([1] * 3, is_bulky=True) == [1, 1, 1]
