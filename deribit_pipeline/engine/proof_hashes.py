"""Hashes that bind proofs: one for each day, over everything that the tables record of it, and for
each series the sum of these.

`content_hash` covers a day's rows; `proof_hash` covers that hash, everything else in the proof, and
all gaps, arrivals and revisions of the day. `engine.series_proofs` keeps them up to date.
"""

import functools
import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proof_tables import ProofTables, Row
from deribit_pipeline.domain.tables import Column, Table
from deribit_pipeline.warehouse.place import Connection

_EPOCH = datetime.fromtimestamp(0, UTC)
_MODULUS = 1 << 128


@dataclass(slots=True)
class Facts:
    """Everything that the tables record of a day: its proofs (exactly one, unless something is
    wrong), and its gaps, arrivals and revisions, by table in the order of `ProofTables.notes`."""

    tables: ProofTables
    notes: tuple[list[Row], ...]
    proofs: list[Row] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)

    def hash_of(self, proof: Row) -> str:
        """The hash that the proof must have."""
        return proof_hash(proof, self.notes)

    @property
    def named_gaps(self) -> int:
        """How many rows are named as missing, each counted once."""
        table, missing = self.tables.gaps.table, self.tables.missing
        if not missing:  # one table row for each missing row, named by its key
            key = [_place(table, name) for name in table.key]
            return len({tuple(row[place] for place in key) for row in self.notes[0]})
        return sum(int(str(row[_place(table, missing)])) for row in self.notes[0])

    @property
    def environments(self) -> list[str]:
        """The environments of its proofs: mainnet, testnet or sandbox."""
        place = _place(self.tables.days, "environment")
        return [str(proof[place]) for proof in self.proofs]

    @property
    def is_changed(self) -> bool:
        """Whether any of it was changed since its hash was written."""
        return list(map(self.hash_of, self.proofs)) != self.hashes


def _place(table: Table, name: str) -> int:
    return [column.name for column in table.columns].index(name)


def proof_hash(proof: Row, notes: Sequence[Sequence[Row]]) -> str:
    """The hash of a day's proof, gaps, arrivals and revisions, in hex: 128 bits of BLAKE2b.

    It covers the proof's row without its hash, then for each table of notes the number of its rows
    and the rows, sorted. Each value is written with its type and its length.
    """
    digest = hashlib.blake2b(_encoded(proof), digest_size=16)
    for rows in notes:
        digest.update(b"%d;" % len(rows))
        for row in sorted(map(_encoded, rows)):
            digest.update(row)
    return digest.hexdigest()


def _encoded(row: Row) -> bytes:
    return b"".join(
        [
            # Not cached: 0.0 equals -0.0, and has another text.
            _with_length(f"f{value.hex()}") if isinstance(value, float) else _encoded_value(value)
            for value in row
        ]
    )


@functools.lru_cache(maxsize=1_000, typed=True)  # most values are those of the day before
def _encoded_value(value: object) -> bytes:
    return _with_length(f"{type(value).__name__[0]}{value}")


def _with_length(text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogateescape")
    return b"%d:%b" % (len(encoded), encoded)


def stored(*values: object) -> Row:
    """The values of a row as they are hashed: days and instants as numbers since 1970, instants in
    microseconds."""
    return tuple(map(_stored, values))


def _stored(value: Any) -> object:
    if isinstance(value, str | int):  # as most are
        return value
    if isinstance(value, datetime):
        since = value - _EPOCH
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    if isinstance(value, date):
        return (value - _EPOCH.date()).days
    if isinstance(value, np.datetime64):
        return int(value.astype("datetime64[us]").astype(np.int64))
    return value


def as_hashed(column: Column) -> str:
    """A column in SQL, with values as `stored` makes them."""
    casts = {
        "timestamptz": f"epoch_us({column.name})",
        "date": f"{column.name} - date '1970-01-01'",
        "json": f"cast({column.name} as varchar)",
    }
    return casts.get(column.type, column.name)


def read_facts(
    connection: Connection,
    dataset: Dataset,
    series: Collection[str],
    days: Collection[date] = (),
) -> dict[tuple[str, date], Facts]:
    """Everything that the tables record of these series, by series and day: of the given days, or
    of all days if none is given."""
    tables = dataset.proved_in
    required = set(days)
    parameters: dict[str, object] = {"name": dataset.proved_as, "series": list(series)}
    if required:
        parameters |= {"first": min(required), "last": max(required)}
    found: dict[tuple[str, date], Facts] = {}

    def facts(key: tuple[str, date]) -> Facts:
        return found.setdefault(key, Facts(tables, tuple([] for _ in tables.notes)))

    def rows(table: Table, day: str) -> Iterator[tuple[tuple[str, date], Row]]:
        columns = [as_hashed(column) for column in table.columns]
        within = f"and {day} between $first and $last" if required else ""
        for name, at, *row in connection.execute(
            f"""
            select {tables.series}, {day}, {", ".join(columns)} from {table.name}
            where {tables.group} = $name and {tables.series} in $series {within}
            """,
            parameters,
        ).fetchall():
            if not required or at in required:
                yield (name, at), tuple(row)

    for key, (*proof, hashed) in rows(tables.days, "day"):
        facts(key).proofs.append(tuple(proof))
        facts(key).hashes.append(str(hashed))
    for place, noted in enumerate(tables.notes):
        for key, row in rows(noted.table, noted.day):
            facts(key).notes[place].append(row)
    return found


def sum_of(hashes: Iterable[str]) -> int:
    """The sum of hashes, modulo 2 to the 128."""
    return sum(map(_number, hashes)) % _MODULUS


def hex_of(total: int) -> str:
    """A sum as `series_proofs` stores it."""
    return f"{total % _MODULUS:032x}"


def _number(hashed: str) -> int:
    try:
        return int(hashed, 16)
    except ValueError:  # the hash of a proof that another program wrote
        return int.from_bytes(hashlib.blake2b(hashed.encode(), digest_size=16).digest())
