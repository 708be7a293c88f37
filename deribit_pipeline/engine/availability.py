"""Refuses days that the exchange no longer has, before anything is written of them."""

from collections.abc import Collection
from datetime import date

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.engine.source import source_of
from deribit_pipeline.errors import NoLongerAvailable
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.warehouse.warehouse import Warehouse


def require_available(
    exchange: Exchange, warehouse: Warehouse, dataset: Dataset, days: Days, today: date
) -> None:
    """Raise NoLongerAvailable for days of which the exchange has no row any more and the warehouse
    nothing either: they could only be stored as gaps that can never be filled.

    Days with stored rows are accepted: they keep these. Raises DeribitError if the exchange does
    not say since when it has rows.
    """
    if dataset.kept is None and not dataset.is_recorded:
        return
    source = source_of(dataset)
    for name, some in _never_stored(warehouse, dataset, days).items():
        if dataset.kept is not None and min(some) >= today - dataset.kept / 2:
            continue
        first = exchange.run(source.first_available(exchange, warehouse, name))
        if first is not None and min(some) < first:
            why = "only has the newest ones" if dataset.kept else "has no history of them"
            raise NoLongerAvailable(
                f"The {dataset.label} of {name} from {min(some)} on were requested, and the "
                f"exchange {why}: the first day that is available is {first}, and nothing was "
                "written. Request days from then on, and fetch or record them regularly.",
                first=first,
            )


def _never_stored(
    warehouse: Warehouse, dataset: Dataset, days: Days
) -> dict[str, Collection[date]]:
    """The days without a proof, by series."""
    every = [day for some in days.values() for day in some]
    if not every:
        return {}
    with warehouse.reading() as connection:
        held = {
            (proof.series, proof.day)
            for proof in proofs_of(connection, dataset, list(days), min(every), max(every))
        }
    never = {name: [day for day in some if (name, day) not in held] for name, some in days.items()}
    return {name: some for name, some in never.items() if some}
