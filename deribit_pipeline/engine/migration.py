"""Moves a warehouse to another place: copied in pieces, then verified there.

Which days differ is determined by comparing what both record of them, so an interrupted migration
continues where it ended, and one that is repeated later copies what was added since.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.domain.dataset import Dataset, Group
from deribit_pipeline.domain.location import Lake
from deribit_pipeline.domain.proof_tables import SERIES_PROOFS
from deribit_pipeline.domain.tables import Table
from deribit_pipeline.domain.windows import ONE_DAY, days_between
from deribit_pipeline.engine import copies
from deribit_pipeline.engine.comparison import compare
from deribit_pipeline.engine.copies import HeldDay, Span
from deribit_pipeline.engine.proof_reads import DatasetDay
from deribit_pipeline.engine.series_proofs import written_sums
from deribit_pipeline.engine.verification import Finding, Verification, verify
from deribit_pipeline.errors import InputError, WarehouseError, WarehouseUnusable
from deribit_pipeline.instruments.history import requested_at
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.schema import SCHEMA_VERSION
from deribit_pipeline.warehouse.warehouse import Warehouse

# Rows of one transaction: some seconds of work to repeat, and one file in a lake.
_MOST_ROWS = 3_000_000

# Spans of days of one transaction; the database compares each span with each row.
_MOST_SPANS = 500


@dataclass(slots=True)
class Piece:
    """Days that are copied in one transaction."""

    dataset: Dataset
    spans: list[Span] = field(default_factory=list)
    days: int = 0
    rows: int = 0


@dataclass(slots=True)
class Migration:
    """How many days are stored, how many of them had to be copied, and how many were, with how many
    rows; and the findings of the verification: days that differ between the two warehouses or that
    their rows do not prove, and tables that differ."""

    held: int
    required: int
    days: int = 0
    rows: int = 0
    verified: Verification = field(default_factory=Verification)
    findings: list[Finding] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)

    @property
    def is_proved(self) -> bool:
        return not self.findings and not self.tables


OnProgress = Callable[[Migration], None]
"""Called repeatedly with the progress."""


def migrate(
    source: Warehouse,
    target: Warehouse,
    on_copied: OnProgress = lambda so_far: None,
    on_verified: OnProgress = lambda so_far: None,
) -> Migration:
    """Make `target` hold what `source` does, and verify it; `source` is not changed.

    Raises InputError if there is nothing to move or `target` holds what `source` does not, and
    WarehouseError if reading or writing fails: what was copied by then stays.
    """
    _require(source, target)
    required, held = _held(source), _held(target)
    _require_nothing_newer(source, target, required, held)
    differing = [key for key, day in required.items() if key not in held or held[key] != day]
    migration = Migration(len(required), len(differing))
    with target.writing():  # creates it even if there is nothing to copy
        pass
    known = (_requested_at(target), _requested_at(source))

    def lists_unchanged(connection: Connection) -> None:
        if requested_at(connection) not in known:
            raise _changed(target)

    def days_unchanged(connection: Connection) -> None:
        now = copies.held_days(connection)
        if any(now.get(key) != held.get(key) for key in days_of(piece)):
            raise _changed(target)

    for table in copies.WHOLE:
        if _whole(source, table) != _whole(target, table):
            copies.copy_whole(source, target, table, lists_unchanged)
    if any(DATASETS[name].group is Group.ACCOUNT for name, *_ in differing):
        target.keep_private()
    for piece in pieces((key, required[key].rows) for key in differing):
        copies.copy_days(source, target, piece.dataset, piece.spans, days_unchanged)
        migration.days += piece.days
        migration.rows += piece.rows
        on_copied(migration)
    target.forget_the_past()
    _prove(source, target, migration, on_verified)
    return migration


def _changed(target: Warehouse) -> WarehouseError:
    """Another process has written what would be replaced since the comparison."""
    return WarehouseError(
        f"{target} was written by another process meanwhile: the same command again compares the "
        "two again, and continues."
    )


def days_of(piece: Piece) -> Iterator[DatasetDay]:
    """The days of a piece."""
    for span in piece.spans:
        for day in days_between(span.first, span.last):
            yield piece.dataset.name, span.series, day


def pieces(days: Iterable[tuple[DatasetDay, int]]) -> Iterator[Piece]:
    """The days, in their order and with the number of rows of each, in pieces that fit into
    memory."""
    for name, some in itertools.groupby(days, lambda each: each[0][0]):
        piece = Piece(DATASETS[name])
        for (_, series, day), rows in some:
            if (piece.days and piece.rows + rows > _MOST_ROWS) or len(piece.spans) == _MOST_SPANS:
                yield piece
                piece = Piece(DATASETS[name])
            last = piece.spans[-1] if piece.spans else None
            if last and last.series == series and last.last + ONE_DAY == day:
                piece.spans[-1] = Span(series, last.first, day)
            else:
                piece.spans.append(Span(series, day, day))
            piece.days += 1
            piece.rows += rows
        yield piece


def _require(source: Warehouse, target: Warehouse) -> None:
    """Raise InputError or WarehouseUnusable if one cannot be copied to the other."""
    if not source.exists():
        raise InputError(f"{source} does not exist: there is nothing to migrate.")
    source.require()
    with source.reading(as_it_is=True) as connection:
        [(version,)] = connection.execute("select schema_version from warehouse_info").fetchall()
    if version != SCHEMA_VERSION:
        raise WarehouseUnusable(
            f"{source} has version {version} of the tables, and a migration leaves it as it is: "
            f"back it up, bring it to version {SCHEMA_VERSION} with DERIBIT_WAREHOUSE set to it "
            "and `deribit-pipeline coverage`, and migrate then."
        )
    target.check()
    if target.exists() and source.is_same_as(target):
        raise InputError(f"{target} is the warehouse itself: name another place to migrate it to.")
    if _data(source) is not None and _data(source) == _data(target):
        raise InputError(
            f"{source} keeps its files where {target} would: each lake needs a place of its own, "
            "so name two."
        )


def _data(warehouse: Warehouse) -> str | None:
    """Where the Parquet files of a lake are."""
    return warehouse.location.data if isinstance(warehouse.location, Lake) else None


def _require_nothing_newer(
    source: Warehouse,
    target: Warehouse,
    required: dict[DatasetDay, HeldDay],
    held: dict[DatasetDay, HeldDay],
) -> None:
    """Raise InputError if `target` holds days that `source` does not, or newer ones, or newer
    listings of a currency."""
    ours = [
        f"{series} {DATASETS[name].short_label} {day}"
        for (name, series, day), there in held.items()
        if (here := required.get((name, series, day))) is None
        or (there != here and there.noted_us > here.noted_us)
    ]
    requested = _requested_at(source)
    ours += [
        f"the instruments of {currency}"
        for currency, at in _requested_at(target).items()
        if currency not in requested or at > requested[currency]
    ]
    if ours:
        others = f" and {len(ours) - 1:,} more" if len(ours) > 1 else ""
        raise InputError(
            f"{target} holds what {source} does not, or has something newer: "
            f"{ours[0]}{others}. Nothing was changed: name a place where there is nothing yet."
        )


def _requested_at(warehouse: Warehouse) -> dict[str, datetime]:
    with warehouse.reading() as connection:
        return requested_at(connection)


def _held(warehouse: Warehouse) -> dict[DatasetDay, HeldDay]:
    with warehouse.reading() as connection:
        return copies.held_days(connection)


def _whole(warehouse: Warehouse, table: Table) -> tuple[int, int]:
    with warehouse.reading() as connection:
        return copies.held_whole(connection, table)


def _prove(
    source: Warehouse, target: Warehouse, migration: Migration, on_verified: OnProgress
) -> None:
    """Recompute what `target` holds from its rows, and compare it with `source`."""

    def verified(so_far: Verification) -> None:
        migration.verified = so_far
        on_verified(migration)

    migration.verified = verify(target, on_verified=verified)
    found = [*migration.verified.findings, *compare(source, target).differences]
    named = {(finding.dataset.name, finding.series, finding.day) for finding in found}
    required, held = _held(source), _held(target)
    for key in sorted(required.keys() | held.keys()):
        if key not in named and required.get(key) != held.get(key):
            name, series, day = key
            what = [f"{target} has other gaps, revisions or arrivals than {source}"]
            found.append(Finding(DATASETS[name], series, day, what))
    migration.findings = found
    migration.tables = [*migration.verified.problems, *_differing_tables(source, target)]


def _differing_tables(source: Warehouse, target: Warehouse) -> list[str]:
    with source.reading() as connection:
        required, wanted_sums = copies.row_counts(connection), written_sums(connection)
    with target.reading() as connection:
        held, held_sums = copies.row_counts(connection), written_sums(connection)
    found = [
        f"{SERIES_PROOFS.name} has other days of {series} ({dataset}) in {target} than in {source}"
        for dataset, series in sorted(wanted_sums.keys() | held_sums.keys())
        if wanted_sums.get((dataset, series)) != held_sums.get((dataset, series))
    ]
    found += [
        f"{name} has {held[name]:,} rows in {target}, and {count:,} in {source}"
        for name, count in required.items()
        if held[name] != count and name != SERIES_PROOFS.name
    ]
    return found + [
        f"{table.name} has other rows in {target} than in {source}"
        for table in copies.WHOLE
        if held[table.name] == required[table.name]
        and _whole(source, table) != _whole(target, table)
    ]
