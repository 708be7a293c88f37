"""Which days are not complete and should be."""

from collections.abc import Collection
from datetime import date, datetime, timedelta

from deribit_pipeline.domain import Resolution, days_between, spans_of
from deribit_pipeline.warehouse import reads
from deribit_pipeline.warehouse.file import Warehouse

# A break of up to a month in what is held was hardly meant.
_BRIDGED_DAYS = 31


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

    Of each instrument and resolution that is held, every day that is over at `now` should be
    settled: those that were ever asked for, and those of a break of up to a month between them.
    With `first` or `last`, every day of that window should be.
    """
    with warehouse.reading() as connection:
        proofs = reads.proofs(connection, instrument_names, resolution)
    asked: dict[tuple[Resolution, str], set[date]] = {}
    settled: dict[tuple[Resolution, str], set[date]] = {}
    for proof in proofs:
        series = (proof.resolution, proof.instrument_name)
        asked.setdefault(series, set()).add(proof.day)
        if proof.is_settled:
            settled.setdefault(series, set()).add(proof.day)
    found: dict[Resolution, dict[str, list[date]]] = {}
    for (of_resolution, name), days in asked.items():
        newest = _newest_over(of_resolution, now)
        spans = spans_of(days, bridging=_BRIDGED_DAYS)
        if first or last:
            spans = [(first or min(days), min(last or newest, newest))]
        done = settled.get((of_resolution, name), set())
        wanted = [
            day
            for begin, end in spans
            for day in days_between(begin, min(end, newest))
            if day not in done
        ]
        if wanted:
            found.setdefault(of_resolution, {})[name] = wanted
    return found


def _newest_over(resolution: Resolution, now: datetime) -> date:
    """The newest day whose last candle is closed at `now`, whatever its grid."""
    overhang = resolution.duration if resolution.anchor is None else resolution.anchor
    return (now - overhang).date() - timedelta(days=1)


def held_instruments(warehouse: Warehouse) -> set[str]:
    """The instruments of which any day was ever asked for."""
    with warehouse.reading() as connection:
        return {proof.instrument_name for proof in reads.proofs(connection)}
