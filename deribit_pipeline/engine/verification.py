"""Every proof once more: recomputed from the rows that are stored now."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from deribit_pipeline.datasets.candles import CANDLES, reads
from deribit_pipeline.datasets.candles.days import contradictions
from deribit_pipeline.datasets.registry import DATASETS, Selection
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.proofs import DatasetProof, DayProof
from deribit_pipeline.domain.rows import contradictions_of_rows, count_of
from deribit_pipeline.domain.windows import TimeWindow, day_window, days_between, moment64
from deribit_pipeline.engine import row_reads as datasets
from deribit_pipeline.engine import unproved
from deribit_pipeline.engine.proof_hashes import Facts, read_facts
from deribit_pipeline.engine.proof_reads import proofs
from deribit_pipeline.errors import WarehouseError
from deribit_pipeline.warehouse import structure
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse, empty_warehouse

# Days of candles read at once: 10 MB of one-minute candles.
_READ_AT_ONCE = timedelta(days=120)

# Of other datasets: rows of at most some 100 bytes.
_MOST_ROWS, _MOST_DAYS = 300_000, 200

_EVERYTHING = Selection()


@dataclass(frozen=True, slots=True)
class Finding:
    """A day of which two things that should say the same do not, and in what: its stored rows and
    its proof, or the proofs of two warehouses. Without a day it is of the series."""

    dataset: Dataset
    series: str
    day: date | None
    contradictions: list[str]


@dataclass(slots=True)
class Verification:
    """How much was recomputed, and what no longer matches. `problems` are of no dataset, such as
    views that are not those of this version, in sentences."""

    days: int = 0
    rows: int = 0
    findings: list[Finding] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def found(self) -> int:
        """How much no longer matches."""
        return len(self.findings) + len(self.problems)


OnVerified = Callable[[Verification], None]
"""Told how far it is, again and again."""


def verify(
    warehouse: Warehouse,
    selection: Selection = _EVERYTHING,
    on_verified: OnVerified = lambda so_far: None,
) -> Verification:
    """Recompute the proofs of every day that is selected. Reads all of their rows. What cannot be
    read, where tables are not those of this version, is among the problems."""
    result = Verification()
    with warehouse.reading() as connection, empty_warehouse() as made:
        result.problems += structure.deviations(connection, made)
    try:
        _recompute(warehouse, selection, result, on_verified)
    except WarehouseError as error:
        if not result.problems:
            raise
        result.problems.append(str(error))
    return result


def _recompute(
    warehouse: Warehouse, selection: Selection, result: Verification, on_verified: OnVerified
) -> None:
    with warehouse.reading() as connection:
        unknown = unproved.unknown_words(connection)
        if unknown:  # such a proof cannot be read
            result.problems += unknown
            return
    # Piece by piece: nobody can write to a file while a connection is open. Who writes in between
    # changes rows and proofs together, so each piece reads both at one moment.
    with warehouse.reading() as connection:
        held = proofs(connection, selection)
        without_proof = [
            (dataset, *found)
            for dataset in selection.all_datasets
            for found in _without_proof(connection, dataset, selection)
        ]
        result.findings += _of_series(connection, selection)
    for dataset, some in held.items():
        if dataset.resolution is not None:
            of_candles = [proof for proof in some if isinstance(proof, DayProof)]
            pieces = _verify_candles(warehouse, of_candles, result)
        else:
            of_rows = [proof for proof in some if isinstance(proof, DatasetProof)]
            pieces = _verify_rows(warehouse, of_rows, result)
        for _ in pieces:
            on_verified(result)
    for dataset, series, day, count in without_proof:
        result.findings.append(
            Finding(dataset, series, day, [f"{count} {dataset.rows} have no proof"])
        )


def _verify_candles(
    warehouse: Warehouse, some: list[DayProof], result: Verification
) -> Iterator[None]:
    for piece in _read_together(some):
        name, resolution = piece[0].instrument_name, piece[0].resolution
        first, last = piece[0].day, piece[-1].day
        window = TimeWindow(day_window(first).start, day_window(last).end)
        with warehouse.reading() as connection:
            proved = reads.proofs(connection, [name], resolution, first, last)
            candles = reads.candles(connection, name, resolution, window)
            dataset = CANDLES[resolution]
            facts = read_facts(connection, dataset, [name], list(days_between(first, last)))
        result.days += len(proved)
        result.rows += len(candles)
        before = None
        for proof in proved:
            day = day_window(proof.day)
            rows = slice(*candles.opened_at.searchsorted([moment64(day.start), moment64(day.end)]))
            of_day = facts[name, proof.day]
            found = contradictions(proof, candles[rows], of_day.named_gaps)
            found += _unbound(of_day, warehouse.environment)
            if proof.day == before:
                found.append("the day has two proofs")
            before = proof.day
            if found:
                result.findings.append(Finding(dataset, proof.series, proof.day, found))
        yield


def _verify_rows(
    warehouse: Warehouse, some: list[DatasetProof], result: Verification
) -> Iterator[None]:
    for piece in _light(some):
        dataset = DATASETS[piece[0].dataset]
        with warehouse.reading() as connection:
            proved = _proved_now(connection, piece)
            names = {proof.series for proof in piece}
            facts = read_facts(connection, dataset, names, {proof.day for proof in piece})
            held = {
                (series, day): rows
                for series, some_days in itertools.groupby(proved, lambda proof: proof.series)
                for day, rows in datasets.rows_by_day(
                    connection, dataset, series, [proof.day for proof in some_days]
                ).items()
            }
        before = None
        for proof in proved:
            key = (proof.series, proof.day)
            rows = held[key]
            result.days += 1
            result.rows += count_of(rows)
            found = contradictions_of_rows(dataset, proof, rows, facts[key].named_gaps)
            found += _unbound(facts[key], warehouse.environment)
            if key == before:
                found.append("the day has two proofs")
            before = key
            if found:
                result.findings.append(Finding(dataset, proof.series, proof.day, found))
        yield


def _proved_now(connection: Connection, piece: list[DatasetProof]) -> list[DatasetProof]:
    """The proofs of these days, as they are by now."""
    days = {(proof.series, proof.day) for proof in piece}
    held = datasets.proofs(connection, *_bounds(piece))
    return [proof for proof in held if (proof.series, proof.day) in days]


def _unbound(facts: Facts, environment: Environment) -> list[str]:
    """In what a day's proof is not the one that was written here."""
    found = []
    if facts.is_changed:
        found.append("the hash of its proof does not cover its proof, gaps, arrivals and revisions")
    found += [f"its proof is of {other}" for other in facts.environments if other != environment]
    return found


def _of_series(connection: Connection, selection: Selection) -> Iterator[Finding]:
    """What is wrong with whole series, and with what is noted of days that have no proof."""
    datasets_wanted = set(selection.all_datasets)
    for dataset, series, difference in unproved.differing_series(connection):
        if dataset in datasets_wanted and series in (selection.series or (series,)):
            yield Finding(dataset, series, None, [difference])
    for dataset, series, day, table in unproved.noted_without_proof(connection):
        is_within = (selection.first or day) <= day <= (selection.last or day)
        if dataset in datasets_wanted and series in (selection.series or (series,)) and is_within:
            yield Finding(dataset, series, day, [f"{table} has rows of it, and it has no proof"])


def _bounds(piece: list[DatasetProof]) -> tuple[set[str], set[str], date, date]:
    """The dataset, the series, and the first and last day."""
    days = [proof.day for proof in piece]
    return {piece[0].dataset}, {proof.series for proof in piece}, min(days), max(days)


def _light(proofs: list[DatasetProof]) -> Iterator[list[DatasetProof]]:
    """The proofs, of one dataset, in pieces of which the rows fit the memory; one of each day."""
    piece: list[DatasetProof] = []
    rows = 0
    for _, (proof, *_) in itertools.groupby(proofs, lambda proof: (proof.series, proof.day)):
        if piece and (rows + proof.received > _MOST_ROWS or len(piece) == _MOST_DAYS):
            yield piece
            piece, rows = [], 0
        piece.append(proof)
        rows += proof.received
    if piece:
        yield piece


def _without_proof(
    connection: Connection, dataset: Dataset, selection: Selection
) -> Sequence[tuple[str, date, int]]:
    """Series and day of rows that no proof speaks of, and how many."""
    first, last = selection.first, selection.last
    if dataset.resolution is not None:
        of_candles = reads.days_without_proof(
            connection, selection.series, dataset.resolution, first, last
        )
        return [(name, day, count) for name, _, day, count in of_candles]
    return [
        found
        for found in datasets.days_without_proof(connection, dataset, selection.series)
        if (first is None or found[1] >= first) and (last is None or found[1] <= last)
    ]


def _read_together(proofs: list[DayProof]) -> Iterator[list[DayProof]]:
    """The proofs, sorted as they come, in pieces of one series that are near in time."""
    piece: list[DayProof] = []
    for proof in proofs:
        if piece and (
            (piece[0].instrument_name, piece[0].resolution)
            != (proof.instrument_name, proof.resolution)
            or proof.day - piece[0].day >= _READ_AT_ONCE
        ):
            yield piece
            piece = []
        piece.append(proof)
    if piece:
        yield piece
