"""How a day is proved, of candles and of every other dataset: decision 20."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.funding_rates import FUNDING_RATES
from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.proofs import DayState, FetchedDay, Provenance
from deribit_pipeline.domain.rows import Columns, count_of, keys_of, some_of
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.engine.proved_days import DayWriter, Written
from deribit_pipeline.engine.proving import prove
from deribit_pipeline.engine.row_reads import rows_of
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.warehouse.warehouse import Warehouse

NAME, DAY = "BTC-PERPETUAL", date(2024, 1, 1)
CAME = datetime(2024, 2, 1, tzinfo=UTC)
HOURS = np.arange("2024-01-01T00", "2024-01-02T00", dtype="datetime64[h]").astype("datetime64[ms]")


def candles() -> Columns:
    return Candles(HOURS, np.full((24, 6), 1 / 3)).columns


def funding() -> Columns:
    names = ("interest_1h", "interest_8h", "index_price", "prev_index_price")
    return {"funded_at": HOURS} | {name: np.full(24, 1 / 3) for name in names}


each_dataset = pytest.mark.parametrize(
    ("dataset", "hours"),
    [(CANDLES[Resolution.HOUR_1], candles), (FUNDING_RATES, funding)],
    ids=["candles", "funding_rates"],
)
Hours = Callable[[], Columns]


def fetched(rows: Columns, hours: slice, came: datetime = CAME) -> FetchedDay:
    """The received rows of a day with 24 expected hours."""
    return FetchedDay(NAME, DAY, some_of(rows, hours), came, HOURS)


@pytest.fixture
def file(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "w.duckdb", Environment.SANDBOX)


def write(file: Warehouse, dataset: Dataset, day: FetchedDay) -> Written:
    source = Provenance(Environment.SANDBOX, "a test", "a run")
    with file.writing() as connection:
        return DayWriter(dataset, lambda run_id: source).write(connection, "a run", NAME, [day])


def held(file: Warehouse, dataset: Dataset) -> tuple[object, ...]:
    """The day's proof, and all that is noted of its gaps."""
    gaps = dataset.proved_in.gaps.table.name
    with file.reading() as connection:
        [proof] = proofs_of(connection, dataset)
        return proof, connection.execute(f"from {gaps} order by all").fetchall()


@each_dataset
def test_a_held_row_that_is_neither_expected_nor_received_fails_the_day(
    file: Warehouse, dataset: Dataset, hours: Hours
) -> None:
    write(file, dataset, fetched(hours(), slice(24)))
    before = held(file, dataset)
    later = fetched(hours(), slice(12), CAME + timedelta(days=1))
    shrunk = replace(later, expected=HOURS[:12], is_confirmed=True)
    written = write(file, dataset, shrunk)
    assert (written.proofs, written.unconfirmed) == ([], [])
    [(key, reason)] = written.failures.items()
    assert key == (NAME, DAY)
    assert "not listed: has its listing changed" in reason
    assert held(file, dataset) == before


@each_dataset
def test_a_row_that_is_received_is_expected(dataset: Dataset, hours: Hours) -> None:
    more = replace(fetched(hours(), slice(24)), expected=HOURS[:12])
    proof = prove(dataset, more).proof
    assert (proof.state, proof.expected, proof.received) == (DayState.COMPLETE, 24, 24)


@each_dataset
def test_of_a_day_that_may_get_further_rows_held_ones_are_no_contradiction(
    dataset: Dataset, hours: Hours
) -> None:
    first = prove(dataset, fetched(hours(), slice(14)))
    later = replace(
        fetched(hours(), slice(12), CAME + timedelta(minutes=1)),
        expected=HOURS[:12],
        is_over=False,
    )
    proved = prove(dataset, later, first.rows, first.proof)
    assert (proved.proof.state, count_of(proved.rows)) == (DayState.OPEN, 14)


@each_dataset
def test_an_older_response_does_not_contradict_what_a_newer_one_returned(
    dataset: Dataset, hours: Hours
) -> None:
    newer = prove(dataset, fetched(hours(), slice(2, 24)))
    older = replace(fetched(hours(), slice(12), CAME - timedelta(days=1)), expected=HOURS[:12])
    proved = prove(dataset, older, newer.rows, newer.proof)
    assert keys_of(dataset, proved.rows).tolist() == HOURS.tolist()
    assert proved.proof.state is DayState.COMPLETE


@each_dataset
def test_rows_of_a_series_that_is_not_listed_fail_the_day(dataset: Dataset, hours: Hours) -> None:
    first = prove(dataset, fetched(hours(), slice(24)))
    nothing = fetched(hours(), slice(0), CAME + timedelta(days=1))
    unlisted = replace(nothing, expected=HOURS[:0], is_listed=False)
    with pytest.raises(DeribitBadPayload, match="not listed: has its listing changed"):
        prove(dataset, unlisted, first.rows, first.proof)


@each_dataset
def test_an_older_response_without_a_further_row_confirms_nothing(
    file: Warehouse, dataset: Dataset, hours: Hours
) -> None:
    write(file, dataset, fetched(hours(), slice(22)))
    before = held(file, dataset)
    older = fetched(hours(), slice(20), CAME - timedelta(days=1))
    written = write(file, dataset, older)
    assert (written.proofs, written.rows) == ([before[0]], 0)
    assert held(file, dataset) == before


@each_dataset
def test_a_newer_response_without_a_further_row_confirms_the_gaps(
    file: Warehouse, dataset: Dataset, hours: Hours
) -> None:
    write(file, dataset, fetched(hours(), slice(22)))
    proof, gaps = held(file, dataset)
    write(file, dataset, fetched(hours(), slice(20), CAME + timedelta(days=1)))
    again, confirmed = held(file, dataset)
    assert again == proof
    assert isinstance(gaps, list)
    assert isinstance(confirmed, list)
    day_later = CAME + timedelta(days=1)
    assert confirmed == [(*gap[:-2], 2, day_later) for gap in gaps]
    assert [gap[-2:] for gap in gaps] == [(1, CAME)] * len(gaps)


@each_dataset
def test_an_older_response_that_has_a_missing_row_fills_its_gap(
    file: Warehouse, dataset: Dataset, hours: Hours
) -> None:
    write(file, dataset, fetched(hours(), slice(22)))
    write(file, dataset, fetched(hours(), slice(24), CAME - timedelta(days=1)))
    proof, gaps = held(file, dataset)
    assert gaps == []
    with file.reading() as connection:
        rows = rows_of(connection, dataset, NAME, DAY)
        [proof] = proofs_of(connection, dataset)
    assert count_of(rows) == proof.received == 24
    assert (proof.state, proof.fetched_at) == (DayState.COMPLETE, CAME)
