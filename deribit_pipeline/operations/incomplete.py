"""Which days are settled, and which should be and are not."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from deribit_pipeline.domain import DayProof, DayState, Resolution, days_between, spans_of
from deribit_pipeline.operations.jobs import Days
from deribit_pipeline.warehouse import reads
from deribit_pipeline.warehouse.file import Warehouse

# A break of up to a month in what is held was hardly meant.
_BRIDGED_DAYS = 31

# An exchange that fills a gap does so within the hour, or much later: until then a gap is asked
# for each time.
_YOUNG = timedelta(hours=1)


@dataclass(slots=True)
class Incomplete:
    """The days to ask for again, by resolution and instrument; `resting` counts gapped days that
    are not due yet, the first of them `due_at`."""

    days: dict[Resolution, dict[str, list[date]]] = field(default_factory=dict)
    resting: int = 0
    due_at: datetime | None = None


def incomplete_days(
    warehouse: Warehouse,
    now: datetime,
    *,
    instrument_names: Collection[str] = (),
    resolution: Resolution | None = None,
    first: date | None = None,
    last: date | None = None,
) -> Incomplete:
    """What to ask for again at `now`.

    Of each instrument and resolution that is held, every day that is over should be settled: those
    that were ever asked for, and those of a break of up to a month between them. A gapped day
    rests for as long as its gaps had been known when they were last asked for, so that it is asked
    at growing distances. With `first` or `last`, every day of that window is asked for now.
    """
    with warehouse.reading() as connection:
        proofs = reads.proofs(connection, instrument_names, resolution)
        confirmed = reads.gaps_last_confirmed(connection, instrument_names, resolution)
    found = Incomplete()
    asked: dict[tuple[Resolution, str], set[date]] = {}
    done: dict[tuple[Resolution, str], set[date]] = {}
    for proof in proofs:
        series = (proof.resolution, proof.instrument_name)
        asked.setdefault(series, set()).add(proof.day)
        if proof.is_settled:
            done.setdefault(series, set()).add(proof.day)
        elif proof.state is DayState.GAPPED and not (first or last):
            key = (proof.instrument_name, proof.resolution, proof.day)
            due_at = gap_due_at(proof.fetched_at, confirmed.get(key, proof.fetched_at))
            if due_at > now:
                done.setdefault(series, set()).add(proof.day)
                found.resting += 1
                found.due_at = min(due_at, found.due_at or due_at)
    for (of_resolution, name), days in asked.items():
        newest = _newest_over(of_resolution, now)
        spans = spans_of(days, bridging=_BRIDGED_DAYS)
        if first or last:
            spans = [(first or min(days), min(last or newest, newest))]
        settled = done.get((of_resolution, name), set())
        wanted = [
            day
            for begin, end in spans
            for day in days_between(begin, min(end, newest))
            if day not in settled
        ]
        if wanted:
            found.days.setdefault(of_resolution, {})[name] = wanted
    return found


def gap_due_at(noticed_at: datetime, confirmed_at: datetime) -> datetime:
    """When to ask again for gaps that were noticed, and last confirmed, at these times."""
    known_for = confirmed_at - noticed_at
    return confirmed_at + (known_for if known_for >= _YOUNG else timedelta(0))


def _newest_over(resolution: Resolution, now: datetime) -> date:
    """The newest day whose last candle is closed at `now`, whatever its grid."""
    overhang = resolution.duration if resolution.anchor is None else resolution.anchor
    return (now - overhang).date() - timedelta(days=1)


def settled_days(
    connection: reads.Connection, resolution: Resolution, days: Days
) -> list[DayProof]:
    """The proofs of those days about which nothing more need be asked."""
    wanted = {(name, day) for name, some in days.items() for day in some}
    if not wanted:
        return []
    proofs = reads.proofs(
        connection,
        instrument_names=list(days),
        resolution=resolution,
        first=min(day for _, day in wanted),
        last=max(day for _, day in wanted),
    )
    return [p for p in proofs if p.is_settled and (p.instrument_name, p.day) in wanted]


def held_instruments(warehouse: Warehouse) -> set[str]:
    """The instruments of which any day was ever asked for."""
    with warehouse.reading() as connection:
        return {proof.instrument_name for proof in reads.proofs(connection)}
