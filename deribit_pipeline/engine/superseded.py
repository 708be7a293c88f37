"""Recorded rows whose values are not stored, because the exchange's responses have others: they are
kept as revisions."""

from collections.abc import Sequence

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import FetchedDay, Provenance
from deribit_pipeline.domain.rows import count_of
from deribit_pipeline.engine.incoming_rows import as_stored, insert_from
from deribit_pipeline.engine.row_reads import columns_of, day_of, series_of
from deribit_pipeline.engine.series_proofs import hashed_anew
from deribit_pipeline.warehouse.place import Connection


def keep_superseded(
    connection: Connection, dataset: Dataset, days: Sequence[FetchedDay], provenance: Provenance
) -> None:
    """Store the superseded rows of proved days of one series as revisions, each once, however often
    its day is taken in. They were never current: from `replaced_at` to `replaced_at`."""
    some = [day for day in days if day.superseded is not None and count_of(day.superseded)]
    if not some:
        return
    series = some[0].series
    with hashed_anew(connection, dataset, series, [day.day for day in some]):
        for day in some:
            _keep(connection, dataset, day, provenance)


def _keep(
    connection: Connection, dataset: Dataset, day: FetchedDay, provenance: Provenance
) -> None:
    assert day.superseded is not None
    revisions = dataset.proved_in.revisions.table
    columns = ", ".join(f"{as_stored(each)} as {each.name}" for each in columns_of(dataset))
    kept = dataset.proved_in.revised.format(
        dataset=dataset.name,
        series=series_of(dataset),
        key=", ".join(dataset.key),
        day=day_of(dataset.table, dataset.at),
    )
    insert_from(
        connection,
        revisions,
        f"""
        with recorded as (select $series as {series_of(dataset)}, {columns} from incoming),
        revised as (select {kept} from recorded as whole)
        select {", ".join(column.name for column in revisions.columns)}
        from (
            select *, $replaced_at as held_from, $replaced_at as replaced_at, $run_id as run_id
            from revised
            anti join {revisions.name} using ({", ".join((*revisions.key[:-1], "held"))})
        )
        """,
        {"series": day.series, "replaced_at": day.as_of, "run_id": provenance.run_id},
        day.superseded,
    )
