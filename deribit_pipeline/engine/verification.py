"""Verify every proof: recomputed from the rows that are stored now."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from deribit_pipeline.datasets.registry import Selection
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.proofs import Proof
from deribit_pipeline.domain.rows import Rows, count_of
from deribit_pipeline.engine import unproved
from deribit_pipeline.engine.proof_hashes import Facts, read_facts
from deribit_pipeline.engine.proof_reads import proofs, proofs_of
from deribit_pipeline.engine.proving import contradictions
from deribit_pipeline.engine.row_reads import days_without_proof, rows_by_day, rows_of
from deribit_pipeline.errors import WarehouseError
from deribit_pipeline.warehouse import structure
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

# How many rows are read at once, of at most some 100 bytes; 200 days of one-minute candles are 16
# MB.
_MOST_ROWS, _MOST_DAYS = 300_000, 200

_EVERYTHING = Selection()

_Piece = tuple[Dataset, list[Proof]]
"""Days of one series."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A day for which two records differ, and how: its stored rows and its proof, or the proofs of
    two warehouses. Without a day, the finding concerns the series."""

    dataset: Dataset
    series: str
    day: date | None
    contradictions: list[str]


@dataclass(slots=True)
class Verification:
    """How much was recomputed, and what no longer matches. `problems` belong to no dataset, such as
    views that are not those of this version, as sentences."""

    days: int = 0
    rows: int = 0
    findings: list[Finding] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def found(self) -> int:
        """How much no longer matches."""
        return len(self.findings) + len(self.problems)


OnVerified = Callable[[Verification], None]
"""Called repeatedly with the progress."""


def verify(
    warehouse: Warehouse,
    selection: Selection = _EVERYTHING,
    on_verified: OnVerified = lambda so_far: None,
) -> Verification:
    """Recompute the proofs of every selected day. Reads all of their rows. What cannot be read,
    because tables are not those of this version, is among the problems."""
    result = Verification()
    with warehouse.reading() as connection:
        result.problems += structure.deviations(connection)
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
        if unknown:  # such proofs cannot be read
            result.problems += unknown
            return
        held = proofs(connection, selection)
        without_proof = [
            (dataset, *found)
            for dataset in selection.all_datasets
            for found in days_without_proof(connection, dataset, selection)
        ]
        result.findings += _of_series(connection, selection)
    # Part by part: a file cannot be written while a connection is open. Writers change rows and
    # proofs in one transaction, so each part reads both in one consistent state.
    for part in _read_together(held):
        with warehouse.reading() as connection:
            for dataset, piece in part:
                _verify(connection, warehouse.environment, dataset, piece, result)
        on_verified(result)
    for dataset, series, day, count in without_proof:
        result.findings.append(
            Finding(dataset, series, day, [f"{count} {dataset.rows} have no proof"])
        )


def _verify(
    connection: Connection,
    environment: Environment,
    dataset: Dataset,
    piece: Sequence[Proof],
    result: Verification,
) -> None:
    """Recompute the proofs of these days, of one series, in their current state."""
    series, days = piece[0].series, {proof.day for proof in piece}
    first, last = piece[0].day, piece[-1].day
    proved = [p for p in proofs_of(connection, dataset, [series], first, last) if p.day in days]
    facts = read_facts(connection, dataset, [series], days)
    held: Mapping[date, Rows]
    if len(days) == 1:  # its rows may be too many for memory
        held = {first: rows_of(connection, dataset, series, first)}
    else:
        held = rows_by_day(connection, dataset, series, days)
    before = None
    for proof in proved:
        rows, of_day = held[proof.day], facts[series, proof.day]
        result.days += 1
        result.rows += count_of(rows)
        found = contradictions(dataset, proof, rows, of_day.named_gaps)
        found += _unbound(of_day, environment)
        if proof.day == before:
            found.append("the day has two proofs")
        before = proof.day
        if found:
            result.findings.append(Finding(dataset, series, proof.day, found))


def _unbound(facts: Facts, environment: Environment) -> list[str]:
    """How a day's proof differs from one written by this pipeline."""
    found = []
    if facts.is_changed:
        found.append("the hash of its proof does not cover its proof, gaps, arrivals and revisions")
    found += [f"its proof is of {other}" for other in facts.environments if other != environment]
    return found


def _of_series(connection: Connection, selection: Selection) -> Iterator[Finding]:
    """What is wrong with whole series, and with gaps, arrivals and revisions of days without a
    proof."""
    datasets_wanted = set(selection.all_datasets)
    for dataset, series, difference in unproved.differing_series(connection):
        if dataset in datasets_wanted and series in (selection.series or (series,)):
            yield Finding(dataset, series, None, [difference])
    for dataset, series, day, table in unproved.noted_without_proof(connection):
        is_within = (selection.first or day) <= day <= (selection.last or day)
        if dataset in datasets_wanted and series in (selection.series or (series,)) and is_within:
            yield Finding(dataset, series, day, [f"{table} has rows of it, and it has no proof"])


def _read_together(held: Mapping[Dataset, Sequence[Proof]]) -> Iterator[list[_Piece]]:
    """All proofs, in parts whose rows are read while the file is open once: many small pieces, or a
    large one."""
    part: list[_Piece] = []
    days = rows = 0
    for dataset, some in held.items():
        for piece in _pieces(dataset, some):
            received = sum(proof.received for proof in piece)
            if part and (days + len(piece) > _MOST_DAYS or rows + received > _MOST_ROWS):
                yield part
                part, days, rows = [], 0, 0
            part.append((dataset, piece))
            days, rows = days + len(piece), rows + received
    if part:
        yield part


def _pieces(dataset: Dataset, proofs: Sequence[Proof]) -> Iterator[list[Proof]]:
    """The proofs, of one dataset and by series and day, in pieces of one series whose rows fit into
    memory; one of each day. Days whose proofs do not count rows are read one by one."""
    most_days = 1 if dataset.counted else _MOST_DAYS
    piece: list[Proof] = []
    rows = 0
    for _, (proof, *_) in itertools.groupby(proofs, lambda proof: (proof.series, proof.day)):
        if piece and (
            proof.series != piece[0].series
            or len(piece) == most_days
            or rows + proof.received > _MOST_ROWS
        ):
            yield piece
            piece, rows = [], 0
        piece.append(proof)
        rows += proof.received
    if piece:
        yield piece
