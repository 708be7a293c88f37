"""Days of every dataset but candles: proved, written completely, revised, and recomputed."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deribit_pipeline.datasets.funding_rates import FUNDING_RATES
from deribit_pipeline.datasets.registry import (
    DATASETS,
    ROW_DATASETS,
    Selection,
    index_of,
    series_of,
)
from deribit_pipeline.datasets.settlements import SETTLEMENTS
from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.proofs import DayState, FetchedDay
from deribit_pipeline.domain.rows import Columns, count_of, keys_of, some_of
from deribit_pipeline.engine.incomplete import incomplete_days
from deribit_pipeline.engine.proving import prove
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.dataset_rows import (
    CAME,
    DAY,
    NAME,
    any_rows,
    assert_read_as_written,
    write,
)

HOURS = np.arange("2024-01-01T00", "2024-01-02T00", dtype="datetime64[h]").astype("datetime64[ms]")

each_dataset = pytest.mark.parametrize("dataset", ROW_DATASETS, ids=lambda dataset: dataset.name)


def hourly(*hours: int, rate: float = 1e-5) -> Columns:
    """Hours of funding."""
    chosen = HOURS[list(hours)] if hours else HOURS
    values = np.full(len(chosen), rate)
    return {
        "funded_at": chosen, "interest_1h": values, "interest_8h": values * 8,
        "index_price": values + 42_000.0, "prev_index_price": values + 42_000.0,
    }  # fmt: skip


def fetched(rows: Columns, came: datetime = CAME, **more: Any) -> FetchedDay:
    return FetchedDay(NAME, DAY, rows, came, expected=HOURS, **more)


@pytest.fixture
def file(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "w.duckdb", Environment.SANDBOX)


def held(file: Warehouse, query: str) -> list[tuple[Any, ...]]:
    with file.reading() as connection:
        return connection.execute(query).fetchall()


@each_dataset
def test_a_table_fits_its_dataset(dataset: Dataset) -> None:
    table = dataset.table
    assert table.key == (table.key[0], *dataset.key)
    columns = {column.name for column in table.columns}
    assert {dataset.at, *dataset.key} <= columns
    series = {"instrument": "instrument_name", "currency": "currency", "index_name": "index_name"}
    assert table.key[0] == series[dataset.series.value]


@each_dataset
def test_rows_are_read_as_they_were_written(file: Warehouse, dataset: Dataset) -> None:
    assert_read_as_written(file, dataset)
    assert verify(file).findings == []


@each_dataset
def test_the_same_day_of_rows_twice_changes_nothing(file: Warehouse, dataset: Dataset) -> None:
    day = FetchedDay(NAME, DAY, any_rows(dataset, 1), CAME)
    write(file, day, dataset=dataset)
    before = held(file, f"from {dataset.name}"), held(file, "from dataset_days")
    later = replace(day, as_of=CAME + timedelta(days=1), is_confirmed=True)
    assert write(file, later, dataset=dataset) == []
    assert (held(file, f"from {dataset.name}"), held(file, "from dataset_days")) == before
    assert held(file, "from dataset_revisions") == []


def test_what_is_expected_is_held_missing_or_not_over() -> None:
    def state(rows: Columns, **more: Any) -> tuple[DayState, int, int, int]:
        proof = prove(FUNDING_RATES, fetched(rows, **more)).proof
        return proof.state, proof.expected, proof.received, proof.missing

    assert state(hourly()) == (DayState.COMPLETE, 24, 24, 0)
    assert state(hourly(0, 1, 5)) == (DayState.GAPPED, 24, 3, 21)
    assert state(hourly(*range(20)), unclosed=HOURS[20:]) == (DayState.OPEN, 24, 20, 0)
    assert state(hourly(*range(19)), unclosed=HOURS[20:]) == (DayState.OPEN, 24, 19, 1)
    nothing = some_of(hourly(), slice(0, 0))
    unlisted = FetchedDay(NAME, DAY, nothing, CAME, is_listed=False)
    assert prove(FUNDING_RATES, unlisted).proof.state is DayState.NOT_LISTED
    quiet = FetchedDay(NAME, DAY, nothing, CAME)
    assert prove(FUNDING_RATES, quiet).proof.state is DayState.COMPLETE
    running = FetchedDay(NAME, DAY, hourly(1), CAME, is_over=False)
    assert prove(FUNDING_RATES, running).proof.state is DayState.OPEN


def test_gaps_are_named_as_unbroken_spans(file: Warehouse) -> None:
    write(file, fetched(hourly(*range(3), *range(5, 10), *range(11, 24))))
    assert held(file, "select gap, missing, confirmed from dataset_gaps order by gap") == [
        ("2024-01-01T03:00:00Z to 2024-01-01T04:00:00Z", 2, 1),
        ("2024-01-01T10:00:00Z", 1, 1),
    ]
    write(file, fetched(hourly(*range(10), *range(11, 24)), CAME + timedelta(days=1)))
    assert held(file, "select gap, missing, confirmed from dataset_gaps") == [
        ("2024-01-01T10:00:00Z", 1, 2)
    ]
    assert held(file, "select received, missing from dataset_days") == [(23, 1)]


def test_an_absent_row_never_removes_one_that_is_held(file: Warehouse) -> None:
    write(file, fetched(hourly(*range(12))))
    write(file, fetched(hourly(*range(6, 24)), CAME + timedelta(hours=1)))
    assert held(file, "select state, received, missing from dataset_days") == [("complete", 24, 0)]
    assert held(file, "from dataset_gaps") == []


def test_a_held_row_is_changed_on_the_word_of_two_answers(file: Warehouse) -> None:
    write(file, fetched(hourly()))
    changed = fetched(hourly() | {"interest_1h": np.full(24, 2e-5)}, CAME + timedelta(hours=1))
    [unconfirmed] = write(file, changed)
    assert held(file, "select distinct interest_1h from funding_rates") == [(1e-5,)]
    assert write(file, replace(unconfirmed, is_confirmed=True)) == []
    assert held(file, "select distinct interest_1h from funding_rates") == [(2e-5,)]
    assert held(
        file,
        "select count(*), min(cast(held->>'interest_1h' as double)), min(epoch(held_from)), "
        "max(epoch(replaced_at) - epoch(held_from)) from dataset_revisions",
    ) == [(24, 1e-05, CAME.timestamp(), 3_600.0)]
    assert held(file, "select revised from dataset_days") == [(24,)]
    again = fetched(hourly(), CAME + timedelta(hours=2), is_confirmed=True)
    write(file, again)
    since = "select distinct epoch(held_from) from dataset_revisions order by 1"
    assert [moment for (moment,) in held(file, since)] == [
        CAME.timestamp(), CAME.timestamp() + 3_600,
    ]  # fmt: skip


def test_an_older_response_changes_no_row_of_a_newer_one(file: Warehouse) -> None:
    write(file, fetched(hourly(*range(12), rate=2e-5), CAME))
    write(file, fetched(hourly(), CAME - timedelta(days=1)))
    assert held(file, "select count(*) from funding_rates where interest_1h = 2e-5") == [(12,)]
    assert held(file, "select received, revised from dataset_days") == [(24, 0)]


def test_an_older_answer_does_not_open_a_day_that_is_proved(file: Warehouse) -> None:
    write(file, fetched(hourly(*range(23))))
    before = held(file, "from dataset_days"), held(file, "from dataset_gaps")
    early = fetched(hourly(*range(20)), CAME - timedelta(days=31), unclosed=HOURS[20:])
    write(file, replace(early, is_over=False))
    assert (held(file, "from dataset_days"), held(file, "from dataset_gaps")) == before
    write(file, replace(early, rows=hourly(*range(24)), is_over=False))
    assert held(file, "select state, received, missing from dataset_days") == [("complete", 24, 0)]
    assert held(file, "from dataset_gaps") == []


@given(st.lists(st.lists(st.integers(0, 23), max_size=24), min_size=1, max_size=4))
def test_answers_in_any_order_make_the_same_day(answers: Sequence[list[int]]) -> None:
    """Whatever hours each response has: in the end all returned hours are stored."""

    def end(order: Sequence[list[int]]) -> tuple[str, int]:
        rows, former = some_of(hourly(), slice(0, 0)), None
        for number, hours in enumerate(order):
            came = hourly(*sorted(set(hours))) if hours else some_of(hourly(), slice(0, 0))
            day = fetched(came, CAME + timedelta(hours=number))
            proved = prove(FUNDING_RATES, day, rows, former)
            rows, former = proved.rows, proved.proof
        assert former is not None
        return former.content_hash, former.received

    union = {hour for hours in answers for hour in hours}
    assert end(answers) == end(answers[::-1])
    assert end(answers)[1] == len(union)


def test_a_key_of_several_columns_tells_rows_of_the_same_moment_apart() -> None:
    settled_at = np.array(["2024-01-01T08:00:00.065"] * 3, "datetime64[ms]")
    rows = {
        "settled_at": settled_at,
        "instrument_name": np.array(["A", "B", "B"], object),
        "type": np.array(["delivery", "delivery", "settlement"], object),
    }
    assert keys_of(SETTLEMENTS, rows).tolist() == [
        "2024-01-01T08:00:00.065Z A delivery",
        "2024-01-01T08:00:00.065Z B delivery",
        "2024-01-01T08:00:00.065Z B settlement",
    ]


@pytest.mark.parametrize(
    ("change", "output"),
    [
        ("update trades set price = price + 1e-9 where trade_seq = 2", "content_hash is"),
        ("delete from trades where trade_seq = 2", "received is 2, the proof has 3"),
        ("insert into trades from trades where trade_seq = 2", "trades are repeated"),
        ("update dataset_days set missing = 4", "missing is 0, the proof has 4"),
        ("update dataset_days set expected = 7", "7 expected do not make it complete"),
        ("delete from dataset_days", "3 trades have no proof"),
        ("insert into dataset_days from dataset_days", "the day has two proofs"),
    ],
)
def test_verify_names_each_day_of_rows_that_no_longer_matches(
    file: Warehouse, change: str, output: str
) -> None:
    write(file, FetchedDay(NAME, DAY, any_rows(TRADES, 3), CAME), dataset=TRADES)
    assert verify(file, Selection((TRADES,))).findings == []
    with file.writing() as connection:
        connection.execute(change)
    findings = verify(file).findings
    assert {
        (finding.dataset, finding.series, finding.day) for finding in findings if finding.day
    } == {(TRADES, NAME, DAY)}
    assert any(text.startswith(output) for finding in findings for text in finding.contradictions)


def test_days_of_rows_that_should_be_complete_and_are_not(file: Warehouse) -> None:
    write(file, fetched(hourly()))
    assert incomplete_days(file, CAME).days == {}
    rows = hourly() | {"funded_at": HOURS + np.timedelta64(2, "D")}
    write(file, FetchedDay(NAME, DAY + timedelta(days=2), rows, CAME))
    found = incomplete_days(file, CAME).days
    assert found == {FUNDING_RATES: {NAME: [DAY + timedelta(days=1)]}}


def test_series_follow_from_the_instruments() -> None:
    names = ("BTC-PERPETUAL", "BTC-29MAR24", "SOL_USDC-PERPETUAL", "ETH-29MAR24-2000-C")
    assert series_of(FUNDING_RATES, names) == ("BTC-PERPETUAL", "SOL_USDC-PERPETUAL")
    assert series_of(TRADES, names) == names
    assert series_of(DATASETS["delivery_prices"], names) == ("btc_usd", "sol_usdc", "eth_usd")
    assert series_of(DATASETS["volatility_index"], ()) == ("BTC", "ETH")
    assert index_of("BTC_USDC") == "btc_usdc"
    for dataset in ROW_DATASETS:
        assert bool(dataset.currencies) == (dataset.series is SeriesKind.CURRENCY)


def test_rows_are_counted_where_there_are_none() -> None:
    assert count_of({}) == 0
