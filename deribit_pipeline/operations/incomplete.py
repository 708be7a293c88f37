"""Which days are not complete and should be."""

from collections.abc import Collection
from datetime import date, datetime, timedelta

from deribit_pipeline.domain import Resolution, days_between
from deribit_pipeline.warehouse import reads
from deribit_pipeline.warehouse.file import Warehouse


def incomplete_days(
    warehouse: Warehouse,
    now: datetime,
    *,
    instrument_names: Collection[str] = (),
    resolution: Resolution | None = None,
    first: date | None = None,
    last: date | None = None,
) -> dict[Resolution, dict[str, list[date]]]:
    """The days to ask for again, by resolution and instrument.

    Of each instrument and resolution that is held, every day should be settled from the first one
    that was ever asked for (or from `first`) to the newest that is over at `now` (or `last`),
    those between that nobody asked for included.
    """
    with warehouse.reading() as connection:
        proofs = reads.proofs(connection, instrument_names=instrument_names, resolution=resolution)
    begins: dict[tuple[Resolution, str], date] = {}
    settled: dict[tuple[Resolution, str], set[date]] = {}
    for proof in proofs:
        series = (proof.resolution, proof.instrument_name)
        begins[series] = min(proof.day, begins.get(series, proof.day))
        if proof.is_settled:
            settled.setdefault(series, set()).add(proof.day)
    found: dict[Resolution, dict[str, list[date]]] = {}
    for (of_resolution, name), begin in begins.items():
        newest = _newest_over(of_resolution, now)
        should_be = days_between(first or begin, min(last or newest, newest))
        done = settled.get((of_resolution, name), set())
        days = [day for day in should_be if day not in done]
        if days:
            found.setdefault(of_resolution, {})[name] = days
    return found


def _newest_over(resolution: Resolution, now: datetime) -> date:
    """The newest day whose last candle is closed at `now`, whatever its grid."""
    overhang = resolution.duration if resolution.anchor is None else resolution.anchor
    return (now - overhang).date() - timedelta(days=1)
