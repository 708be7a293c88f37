"""A day in pieces has the proof, hash, rows, revisions and gaps of the whole day."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.domain import pieces
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import Lake
from deribit_pipeline.domain.proofs import FetchedDay, Provenance
from deribit_pipeline.domain.rows import (
    Columns,
    Pieces,
    count_of,
    differences,
    joined_rows,
    keys_of,
    pieces_of,
    rows_hash,
    some_of,
)
from deribit_pipeline.engine.merged_rows import compared, merged, without
from deribit_pipeline.engine.proved_days import DayWriter
from deribit_pipeline.engine.row_reads import rows_of
from deribit_pipeline.engine.source import _agree
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.dataset_rows import any_rows
from deribit_pipeline_tests.helpers.written_warehouse import everything

NAME, DAY = "BTC-PERPETUAL", date(2024, 1, 1)
NOON = datetime(2024, 2, 1, 12, tzinfo=UTC)
SMALL = 7


def some_day(random: np.random.Generator) -> FetchedDay:
    """A response for a day of 40 trades: some may be missing, or have other values."""
    numbers = np.flatnonzero(random.random(40) < random.choice([0.3, 0.9, 1.0]))
    if not len(numbers):
        numbers = np.arange(1)
    rows = some_of(any_rows(TRADES, 40), numbers)
    if random.random() < 0.5:
        rows["price"] = rows["price"] + (random.random(len(numbers)) < 0.2)
    return FetchedDay(
        NAME,
        DAY,
        rows,
        NOON + timedelta(hours=int(random.integers(0, 24))),
        any_rows(TRADES, 40)["trade_seq"],
        is_over=bool(random.random() < 0.7),
        is_confirmed=bool(random.random() < 0.7),
    )


def in_pieces(rows: Columns, together: int = 5) -> Pieces:
    found = Pieces()
    for first in range(0, count_of(rows), together):
        found.append(some_of(rows, slice(first, first + together)))
    return found


def written(file: Warehouse, days: Sequence[FetchedDay]) -> list[object]:
    """The result of each write, and what is stored in the end."""
    found: list[object] = []
    for number, day in enumerate(days):
        source = Provenance(Environment.SANDBOX, "a test", f"run {number}")
        with file.writing() as connection:
            result = DayWriter(TRADES, lambda run_id, source=source: source).write(
                connection, source.run_id, NAME, [day]
            )
        unconfirmed = [each.as_of for each in result.unconfirmed]
        found.append((result.proofs, unconfirmed, result.failures, result.rows, result.revised))
    verified = verify(file)
    assert (verified.findings, verified.problems) == ([], [])
    tables = everything(file)
    return [*found, {name: sorted(rows, key=repr) for name, rows in tables.items()}]


@pytest.mark.parametrize(
    "seed", [*range(8), *(pytest.param(seed, marks=pytest.mark.torture) for seed in range(8, 25))]
)
def test_a_day_in_pieces_is_proved_and_stored_as_the_whole_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    random = np.random.default_rng(seed)
    days = [some_day(random) for _ in range(4)]
    whole = written(Warehouse(tmp_path / "whole.duckdb", Environment.SANDBOX), days)
    monkeypatch.setattr(pieces, "PIECE", SMALL)
    parts = [replace(day, rows=in_pieces(dict(day.rows)).rows()) for day in days]
    assert written(Warehouse(tmp_path / "parts.duckdb", Environment.SANDBOX), parts) == whole


def test_stored_rows_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, rows = Warehouse(tmp_path / "w.duckdb", Environment.SANDBOX), any_rows(TRADES, 40)
    written(file, [FetchedDay(NAME, DAY, rows, NOON, rows["trade_seq"])])
    monkeypatch.setattr(pieces, "PIECE", SMALL)
    with file.reading() as connection:
        found = rows_of(connection, TRADES, NAME, DAY)
    assert [count_of(piece) for piece in pieces_of(found)] == [7, 7, 7, 7, 7, 5]
    assert rows_hash(found) == rows_hash(rows)


@dataclass(frozen=True)
class Snapshots:
    """Rows with a key of two columns, as those of option chains."""

    key: tuple[str, ...] = ("at", "name")
    counted: tuple[str, ...] = ("at",)

    def some(self, random: np.random.Generator, most: float) -> Columns:
        times, names = np.divmod(np.flatnonzero(random.random(60) < most), 10)
        texts = np.array([f"name {name}" for name in names.tolist()], object)
        prices = random.integers(0, 2, len(times)).astype(float)
        return {"at": times.astype("datetime64[ms]"), "name": texts, "price": prices}


@pytest.mark.parametrize("seed", range(25))
def test_pieces_are_compared_and_merged_as_whole_rows(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(pieces, "PIECE", SMALL)
    random, keyed = np.random.default_rng(seed), Snapshots()
    one, other = (keyed.some(random, most) for most in random.choice([0.0, 0.1, 0.5, 1.0], 2))
    ours, theirs = keys_of(keyed, one), keys_of(keyed, other)
    halves = in_pieces(one, 3).rows(), in_pieces(other, 4).rows()

    only_older = some_of(other, ~np.isin(theirs, ours))
    both = joined_rows([one, only_older])
    expected = some_of(both, np.argsort(keys_of(keyed, both), kind="stable"))
    if count_of(expected):
        assert rows_hash(merged(keyed, *halves)) == rows_hash(expected)

    shared = [some_of(one, np.isin(ours, theirs)), some_of(other, np.isin(theirs, ours))]
    pairs = list(compared(keyed, *halves))
    for place, rows in enumerate(shared):
        found = [keys_of(keyed, pair[place]) for pair in pairs] or [ours[:0]]
        np.testing.assert_array_equal(np.concatenate(found), keys_of(keyed, rows))
    is_smaller_within = count_of(shared[0]) == min(len(ours), len(theirs))
    assert _agree(keyed, *halves) == (is_smaller_within and not differences(*shared).any())  # type: ignore[arg-type]


def test_a_lake_holds_a_day_in_pieces_as_a_file_does(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE", SMALL)
    random = np.random.default_rng(3)
    days = [some_day(random) for _ in range(4)]
    parts = [replace(day, rows=in_pieces(dict(day.rows)).rows()) for day in days]
    in_file = written(Warehouse(tmp_path / "w.duckdb", Environment.SANDBOX), parts)
    in_lake = written(warehouse_at(lake, Environment.SANDBOX), parts)
    assert in_lake == in_file
    assert "dataset_revisions" in dict(in_file[-1])  # type: ignore[call-overload]


@pytest.mark.parametrize("seed", range(5))
def test_keys_without_others_are_those_that_the_others_do_not_have(seed: int) -> None:
    random = np.random.default_rng(seed)
    ours, theirs = (np.flatnonzero(random.random(30) < share) for share in (0.5, 0.3))
    for as_keys in (np.asarray, lambda keys: np.sort(keys.astype("U"))):
        found = without(as_keys(ours), as_keys(theirs))
        assert found.tolist() == sorted(as_keys(np.array(sorted({*ours} - {*theirs}))).tolist())


def test_keys_of_several_columns_are_joined_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = Snapshots()
    whole = dataset.some(np.random.default_rng(0), 0.9)
    monkeypatch.setattr(pieces, "PIECE", SMALL)
    assert keys_of(dataset, in_pieces(whole)).tolist() == keys_of(dataset, whole).tolist()
