"""Maintains the hashes of proofs: those of days, and for each series the sum of them.

`series_proofs` stores how many days a series has and the sum of their hashes. Every writer of
proofs adds to it, in its transaction, what it adds to the days, and never recounts them: so a day
that was removed by other means is detected.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date

from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.engine.proof_hashes import hex_of, read_facts, sum_of
from deribit_pipeline.warehouse.place import Connection

NO_HASH_YET = ""
"""A proof written within `hashed_anew`."""

Added = tuple[int, int]
"""The number of days added to a series, minus those that they replaced, and the sum of their hashes
likewise."""

# How many proofs are read at once.
_MOST_DAYS = 50_000


@contextmanager
def hashed_anew(
    connection: Connection, dataset: Dataset, series: str, days: Collection[date]
) -> Iterator[None]:
    """Recompute the hashes of days of a series that were proved before, after the block has changed
    what the tables record of them."""
    if not days:
        yield
        return
    former = _hashes(connection, dataset, series, days)
    yield
    found = read_facts(connection, dataset, [series], days).items()
    now = [(*key, facts.hash_of(proof)) for key, facts in found for proof in facts.proofs]
    hashes = [hashed for *_, hashed in now]
    if sorted(hashes) != sorted(former):
        _write_hashes(connection, dataset, now)
        added = (len(now) - len(former), sum_of(hashes) - sum_of(former))
        add_to_series(connection, dataset, {series: added}, is_merging=True)


def add_to_series(
    connection: Connection,
    dataset: Dataset,
    added: Mapping[str, Added],
    *,
    is_merging: bool = False,
) -> None:
    """Record which days were added to each series.

    Writers that only add work concurrently, so each adds a row; where rows may be removed,
    `is_merging` replaces them by one.
    """
    sums = {series: list(some) for series, some in added.items()}
    if is_merging:
        of_series = {"dataset": dataset.name, "series": list(added)}
        where = "from series_proofs where dataset = $dataset and series in $series"
        held = connection.execute(f"select series, days, proofs_hash {where}", of_series).fetchall()
        for series, days, hashed in held:
            sums[series][0] += days
            sums[series][1] += sum_of([hashed])
        if held:
            connection.execute(f"delete {where}", of_series)
    connection.execute(
        """
        insert into series_proofs
        select $dataset, new.series, new.days, new.hashed
        from (select unnest($sums, recursive := true)) as new
        """,
        {
            "dataset": dataset.name,
            "sums": [
                {"series": series, "days": days, "hashed": hex_of(total)}
                for series, (days, total) in sums.items()
            ],
        },
    )


def written_sums(connection: Connection) -> dict[tuple[str, str], Added]:
    """How many days were written of each series, by dataset and series, and the sum of their
    hashes."""
    rows: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for dataset, series, days, hashed in connection.execute(
        "select dataset, series, days, proofs_hash from series_proofs"
    ).fetchall():
        rows.setdefault((dataset, series), []).append((days, hashed))
    return {
        key: (sum(days for days, _ in some), sum_of(hashed for _, hashed in some))
        for key, some in sorted(rows.items())
    }


def hash_everything(connection: Connection) -> None:
    """Add the hash to every proof and the sum to every series, in a warehouse that has none yet."""
    for dataset in DATASETS.values():
        for series in _series_together(connection, dataset):
            changed = [
                (*key, facts.hash_of(proof))
                for key, facts in read_facts(connection, dataset, series).items()
                for proof in facts.proofs
            ]
            _write_hashes(connection, dataset, changed)
            of_series: dict[str, list[str]] = {}
            for name, _, hashed in changed:
                of_series.setdefault(name, []).append(hashed)
            sums = {name: (len(hashes), sum_of(hashes)) for name, hashes in of_series.items()}
            add_to_series(connection, dataset, sums)


def _hashes(
    connection: Connection, dataset: Dataset, series: str, days: Collection[date]
) -> list[str]:
    tables = dataset.proved_in
    rows = connection.execute(
        f"""
        select proof_hash from {tables.days.name}
        where {tables.group} = $name and {tables.series} = $series and day in $days
        """,
        {"name": dataset.proved_as, "series": series, "days": list(days)},
    ).fetchall()
    return [hashed for (hashed,) in rows]


def _write_hashes(
    connection: Connection, dataset: Dataset, hashes: Sequence[tuple[str, date, str]]
) -> None:
    """Write the hashes of proofs, by series and day."""
    if not hashes:
        return
    tables = dataset.proved_in
    connection.execute(
        f"""
        update {tables.days.name} as proved set proof_hash = new.hashed
        from (select unnest($hashes, recursive := true)) as new
        where {tables.group} = $name and proved.{tables.series} = new.of and proved.day = new.at
        """,
        {
            "name": dataset.proved_as,
            "hashes": [{"of": of, "at": at, "hashed": hashed} for of, at, hashed in hashes],
        },
    )


def _series_together(connection: Connection, dataset: Dataset) -> Iterator[list[str]]:
    """The series of a dataset, in pieces whose proofs fit into memory."""
    tables = dataset.proved_in
    together: list[str] = []
    waiting = 0
    for series, days in connection.execute(
        f"""
        select {tables.series}, count(*) from {tables.days.name} where {tables.group} = $name
        group by all order by all
        """,
        {"name": dataset.proved_as},
    ).fetchall():
        if together and waiting + days > _MOST_DAYS:
            yield together
            together, waiting = [], 0
        together.append(series)
        waiting += days
    if together:
        yield together
