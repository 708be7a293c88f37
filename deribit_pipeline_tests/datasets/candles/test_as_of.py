"""Candles as of a moment: the same from a file and from a lake, whose snapshots are read where
documented."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from deribit_pipeline import read
from deribit_pipeline.datasets.candles.known import known_at
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import Lake, Location
from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.domain.rows import some_of
from deribit_pipeline.errors import IncompleteDays, InputError
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import every_store
from deribit_pipeline_tests.helpers.lake_days import day, hold, write
from deribit_pipeline_tests.helpers.processes import name_warehouse
from deribit_pipeline_tests.helpers.written_warehouse import NAME

Rows = list[tuple[object, ...]]
COLUMNS = "opened_at, open, high, low, close, volume_base, volume_quote"


@pytest.fixture
def warehouse(location: Location, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Warehouse:
    """The warehouse that the environment names."""
    name_warehouse(monkeypatch, location, tmp_path)
    return warehouse_at(location, Environment.SANDBOX)


def now() -> datetime:
    return datetime.now(UTC)


def returned_now(number: int, price: float = 1 / 3, absent: int = 0) -> FetchedDay:
    """A day as returned by the exchange, whose clock is right, at this moment."""
    returned = day(number, price=price)
    return replace(returned, as_of=now(), rows=some_of(returned.rows, slice(absent, None)))


def history(warehouse: Warehouse) -> list[datetime]:
    """Write a day, its filled gap and its revision; returns the moments between them."""
    moments = []
    for returned in (
        lambda: returned_now(0, absent=2),
        lambda: returned_now(1),
        lambda: returned_now(0),
        lambda: returned_now(0, price=0.5),
        lambda: returned_now(2),
    ):
        hold(warehouse, returned())
        moments.append(now())
    return moments


def by_macro(warehouse: Warehouse, moment: datetime) -> Rows:
    query = f"select {COLUMNS} from candles_as_of($moment) order by 1"
    return selected(warehouse, query, moment)


def by_snapshot(warehouse: Warehouse, moment: datetime) -> Rows:
    query = f"select {COLUMNS} from candles at (timestamp => $moment) order by 1"
    return selected(warehouse, query, moment)


def selected(warehouse: Warehouse, query: str, moment: datetime) -> Rows:
    with warehouse.reading() as connection:
        return connection.execute(query, {"moment": moment}).fetchall()


def by_reader(moment: datetime) -> Rows:
    frame = read.candles(
        NAME, "2024-01-01", "2024-01-03", as_of=moment, frame="arrow", complete_only=False
    )
    return [tuple(row.values()) for row in frame.to_pylist()]


def source(warehouse: Warehouse, moment: datetime) -> str:
    """What the reader reads."""
    with warehouse.reading() as connection:
        snapshot = warehouse.snapshot_at(connection, moment)
        return known_at(connection, NAME, moment, snapshot).source


@every_store
def test_the_reader_says_what_the_macro_says_of_every_moment(
    warehouse: Warehouse, location: Location
) -> None:
    before = now()
    moments = history(warehouse)
    returned = [by_macro(warehouse, moment) for moment in moments]
    assert [len(rows) for rows in returned] == [1_438, 2_878, 2_880, 2_880, 4_320]
    assert [sum(row[1] == 0.5 for row in rows) for rows in returned] == [0, 0, 0, 1_440, 1_440]
    for moment, rows in zip(moments, returned, strict=True):
        assert by_reader(moment) == rows
        if isinstance(location, Lake):
            assert by_snapshot(warehouse, moment) == rows
            assert source(warehouse, moment) == "candles at (version => $snapshot)"
    assert by_reader(before) == by_macro(warehouse, before) == []


@every_store
def test_a_candle_is_made_of_minutes_only_where_all_were_known(warehouse: Warehouse) -> None:
    moments = history(warehouse)
    opened = [
        read.candles(
            NAME, "2024-01-01", "2024-01-01", "60", as_of=moment, complete_only=False
        ).index.hour.tolist()
        for moment in moments
    ]
    assert opened[0] == opened[1] == list(range(1, 24))
    assert opened[2] == opened[3] == list(range(24))


@every_store
def test_a_moment_before_a_days_first_backfill_is_an_error(warehouse: Warehouse) -> None:
    before = now()
    moments = history(warehouse)
    for moment, first_missing in ((before, 1), (moments[1], 1), (moments[3], 3)):
        with pytest.raises(IncompleteDays) as error:
            read.candles(NAME, "2024-01-01", "2024-01-03", as_of=moment)
        assert min(error.value.days) == date(2024, 1, first_missing)
        assert re.search(r"\(stored since \d{4}-\d\d-\d\d \d\d:\d\d UTC\)", str(error.value))
        assert "point-in-time history begins with the first backfill" in str(error.value)
    assert len(read.candles(NAME, "2024-01-01", "2024-01-03", as_of=moments[4])) == 4_320


def test_the_newest_candles_may_be_stored_within_a_day_and_no_others_later(
    warehouse: Warehouse,
) -> None:
    noon = datetime(2024, 1, 2, 12, tzinfo=UTC)
    hold(warehouse, replace(day(0), as_of=noon - timedelta(hours=11)))
    half = replace(day(1), rows=some_of(day(1).rows, slice(0, 720)), as_of=noon)
    hold(warehouse, half)
    hold(warehouse, returned_now(1))
    for hours in (0, 3, 12):  # the afternoon was not stored yet
        moment = noon + timedelta(hours=hours)
        found = read.candles(NAME, "2024-01-01", "2024-01-02", as_of=moment)
        assert (len(found), found.attrs["proved_until"]) == (1_440 + 720, f"{noon}")
    with pytest.raises(IncompleteDays, match=r"of 2024-01-02 \(stored since"):
        read.candles(NAME, "2024-01-01", "2024-01-02", as_of=noon + timedelta(hours=26))
    hold(warehouse, replace(day(2), as_of=noon + timedelta(hours=36)))  # a hole before it
    with pytest.raises(IncompleteDays, match=r"of 2024-01-02 \(stored since"):
        read.candles(NAME, "2024-01-01", "2024-01-03", as_of=noon + timedelta(hours=37))


@every_store
def test_days_after_the_moment_need_not_be_known_then(warehouse: Warehouse) -> None:
    midnight = datetime(2024, 1, 2, tzinfo=UTC)
    hold(warehouse, replace(day(0), as_of=midnight))
    for number in (1, 2):
        hold(warehouse, returned_now(number))
    assert len(read.candles(NAME, "2024-01-01", "2024-01-03", as_of=midnight)) == 1_440
    with pytest.raises(InputError, match="as_of .* is not after start"):
        read.candles(NAME, "2024-01-03", "2024-01-03", as_of=midnight)


@pytest.fixture
def on_a_lake(lake: Lake) -> Warehouse:
    warehouse = warehouse_at(lake, Environment.SANDBOX)
    with warehouse.writing():
        pass
    return warehouse


def test_what_was_returned_before_a_moment_and_written_after_it_was_known_then(
    on_a_lake: Warehouse,
) -> None:
    hold(on_a_lake, returned_now(0))
    returned = returned_now(1)
    moment = now()
    hold(on_a_lake, returned)
    assert len(by_snapshot(on_a_lake, moment)) == 1_440
    assert len(by_macro(on_a_lake, moment)) == 2_880
    assert source(on_a_lake, moment) == "candles_as_of($as_of)"


def test_what_was_returned_after_a_moment_is_never_known_then(on_a_lake: Warehouse) -> None:
    """A snapshot's time is when its transaction began."""
    moments: list[datetime] = []

    def change(connection: Connection) -> None:
        moments.append(now())
        write(connection, returned_now(0))

    on_a_lake.write(change, {NAME})
    [moment] = moments
    assert len(by_snapshot(on_a_lake, moment)) == 1_440
    assert by_macro(on_a_lake, moment) == []
    assert source(on_a_lake, moment) == "candles_as_of($as_of)"


def test_moments_before_the_first_snapshot_are_known_from_arrivals(on_a_lake: Warehouse) -> None:
    """As in a lake that was copied from a file, or whose snapshots have expired."""
    hold(on_a_lake, day(0))  # returned in 2024
    moment = day(0).as_of + timedelta(seconds=1)
    assert len(by_macro(on_a_lake, moment)) == 1_440
    assert source(on_a_lake, moment) == "candles_as_of($as_of)"


@pytest.mark.parametrize("as_of", ["soon", 7, now() + timedelta(days=9)])
def test_a_moment_that_is_none_is_one_sentence(warehouse: Warehouse, as_of: object) -> None:
    request: Callable[..., object] = read.candles
    with pytest.raises(InputError, match="as_of "):
        request(NAME, "2024-01-01", "2024-01-01", as_of=as_of)
