"""Fetched days into the warehouse: proved and written, or deferred until they are confirmed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import FetchedDay, Proof, ProvedDay, Provenance
from deribit_pipeline.domain.rows import count_of, counted_keys
from deribit_pipeline.engine.day_writes import invalidate_what_is_made_of, write_days
from deribit_pipeline.engine.outcome import Key
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.engine.proving import prove
from deribit_pipeline.engine.row_reads import rows_of
from deribit_pipeline.engine.superseded import keep_superseded
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.warehouse.place import Connection

Clock = Callable[[], datetime | None]
"""The exchange's clock in its newest response."""

From = Callable[[str], Provenance]
"""The provenance of a run's rows, by the run's id."""


@dataclass(slots=True)
class Written:
    """The result for days of one series and job: the proofs that now apply, the days that must be
    confirmed first, and why others have failed. `rows` were received, `recorded` of them in the
    spool, and `revised` changed stored ones."""

    proofs: list[Proof] = field(default_factory=list)
    unconfirmed: list[FetchedDay] = field(default_factory=list)
    failures: dict[Key, str] = field(default_factory=dict)
    rows: int = 0
    recorded: int = 0
    revised: int = 0


class DayWriter:
    """Proves days of a dataset and writes them, in the open transaction.

    If a `clock` is given, gaps, arrivals and revisions of a day are dated by the newest response:
    the first of those that make up a day may be from before its last rows were closed.
    """

    def __init__(self, dataset: Dataset, provenance: From, clock: Clock = lambda: None) -> None:
        self._dataset = dataset
        self._provenance = provenance
        self._clock = clock

    def write(
        self, connection: Connection, run_id: str, series: str, days: Sequence[FetchedDay]
    ) -> Written:
        """Days that would replace stored rows based on a single response are returned as
        `unconfirmed`."""
        written, proved = Written(), []
        for day in self._proved(connection, series, days, written):
            proved.append(replace(day, as_of=max(day.as_of, self._clock() or day.as_of)))
        write_days(connection, self._dataset, proved, self._provenance(run_id))
        stored = {proof.day for proof in written.proofs}
        some = [day for day in days if day.day in stored]
        keep_superseded(connection, self._dataset, some, self._provenance(run_id))
        changed = [day.proof.day for day in proved if _is_changed(day)]
        invalidate_what_is_made_of(connection, self._dataset, series, changed)
        return written

    def _proved(
        self,
        connection: Connection,
        series: str,
        days: Sequence[FetchedDay],
        written: Written,
    ) -> list[ProvedDay]:
        """The days to write; the results of all days are counted in `written`."""
        required = [day.day for day in days]
        found = proofs_of(connection, self._dataset, [series], min(required), max(required))
        former: dict[date, Proof] = {proof.day: proof for proof in found}
        to_write = []
        for day in days:
            known = former.get(day.day)
            held = None
            if known is not None and known.received:
                held = rows_of(connection, self._dataset, series, day.day)
            try:
                proved = prove(self._dataset, day, held, known)
            except DeribitBadPayload as error:
                written.failures[series, day.day] = error.reason
                continue
            if count_of(proved.replaced) and not day.is_confirmed:
                written.unconfirmed.append(day)
                continue
            written.proofs.append(proved.proof)
            if known is not None and proved.proof is known and day.as_of < known.fetched_at:
                continue  # an older response with nothing new, not even about its gaps
            written.recorded += day.recorded
            written.rows += len(counted_keys(self._dataset, day.rows))
            written.revised += count_of(proved.replaced)
            to_write.append(proved)
        return to_write


def _is_changed(day: ProvedDay) -> bool:
    """Whether other rows are stored than before, or something else is proved."""
    former, proof = day.former, day.proof
    if former is None or count_of(day.replaced):
        return True
    return (former.content_hash, former.state) != (proof.content_hash, proof.state)
