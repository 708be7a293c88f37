"""How days become proofs and rows of the warehouse: of candles, and of all other datasets."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from deribit_pipeline.datasets.candles import reads
from deribit_pipeline.datasets.candles.days import FetchedDay, prove
from deribit_pipeline.datasets.candles.writes import Provenance, write_days
from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.rows import FetchedRows, count_of, prove_rows
from deribit_pipeline.domain.windows import day_window
from deribit_pipeline.engine import row_reads as datasets
from deribit_pipeline.engine.day_writes import WholeDay, unprove_candles_of
from deribit_pipeline.engine.day_writes import write_days as write_rows
from deribit_pipeline.engine.writing import Written
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.warehouse.place import Connection

Clock = Callable[[], datetime | None]
"""The exchange's, in its newest answer."""

From = Callable[[str], Provenance]
"""Where the rows of a run come from, by its id."""


class CandleBook:
    """Proves and writes the days of a resolution."""

    def __init__(self, resolution: Resolution, provenance: From, clock: Clock) -> None:
        self._resolution = resolution
        self._provenance = provenance
        self._clock = clock

    def write(
        self, connection: Connection, run_id: str, series: str, days: Sequence[FetchedDay]
    ) -> Written[FetchedDay]:
        """Those that would replace what is held, on the word of one answer, are left `doubted`."""
        written: Written[FetchedDay] = Written()
        wanted = {day.day for day in days}
        proofs = reads.proofs(connection, [series], self._resolution, min(wanted), max(wanted))
        former = {proof.day: proof for proof in proofs if proof.day in wanted}
        proved_days = []
        for day in days:
            known = former.get(day.day)
            held = Candles.none()
            if known is not None and known.received:
                held = reads.candles(connection, series, self._resolution, day_window(day.day))
            try:
                proved = prove(day, held, known)
            except DeribitBadPayload as error:
                written.failures[series, day.day] = error.reason
                continue
            if len(proved.replaced) and not day.is_confirmed:
                written.doubted.append(day)
                continue
            # Known only now: the first of the answers that a day was put together from may be
            # from before its last candles were over.
            known_at = max(day.as_of, self._clock() or day.as_of)
            proved_days.append(replace(proved, as_of=known_at))
            written.proofs.append(proved.proof)
            written.rows += len(day.candles)
            written.revised += len(proved.replaced)
        write_days(connection, proved_days, former, self._provenance(run_id))
        return written


class RowBook:
    """Proves and writes the days of any other dataset."""

    def __init__(self, dataset: Dataset, provenance: From) -> None:
        self._dataset = dataset
        self._provenance = provenance

    def write(
        self, connection: Connection, run_id: str, series: str, days: Sequence[FetchedRows]
    ) -> Written[FetchedRows]:
        """Those that would replace what is held, on the word of one answer, are left `doubted`."""
        written: Written[FetchedRows] = Written()
        wanted = {day.day for day in days}
        fits = ([self._dataset.name], [series], min(wanted), max(wanted))
        former = {proof.day: proof for proof in datasets.proofs(connection, *fits)}
        whole: list[WholeDay] = []
        for day in days:
            known = former.get(day.day)
            held = None
            if known is not None and known.received:
                held = datasets.rows_of(connection, self._dataset, series, day.day)
            proved = prove_rows(self._dataset, day, held, known)
            if known is not None and proved.proof is known and day.as_of < known.fetched_at:
                written.proofs.append(known)  # an older answer without news: not even of its gaps
                continue
            if count_of(proved.replaced) and not day.is_confirmed:
                written.doubted.append(day)
                continue
            gaps = [(gap.gap, gap.missing) for gap in proved.gaps]
            whole.append(
                WholeDay(proved.proof, proved.rows, gaps, proved.replaced, known, proved.as_of)
            )
            written.proofs.append(proved.proof)
            written.rows += count_of(day.rows)
            written.revised += count_of(proved.replaced)
        write_rows(connection, self._dataset, whole, self._provenance(run_id))
        if self._dataset is TRADES:
            changed = [day.proof.day for day in whole if _is_changed(day)]
            unprove_candles_of(connection, series, changed)
        return written


def _is_changed(day: WholeDay) -> bool:
    """Whether other rows are held than before, or something else is proved of them."""
    former, proof = day.former, day.proof
    if former is None or count_of(day.replaced):
        return True
    return (former.content_hash, former.state) != (proof.content_hash, proof.state)
