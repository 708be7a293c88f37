"""Which days are settled, and which should be settled and are not."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from deribit_pipeline.datasets.registry import Selection
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import DayState, Proof
from deribit_pipeline.domain.windows import days_between, spans_of
from deribit_pipeline.engine.failed_days import failed_days
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.engine.outcome import Key, is_lost
from deribit_pipeline.engine.proof_reads import gaps_last_confirmed, proofs, proofs_of
from deribit_pipeline.engine.relisted import is_supported, unknown_to, unsupported
from deribit_pipeline.instruments.listings import Listings
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

# A break of up to a month between stored days is assumed to be unintended.
_BRIDGED_DAYS = 31

# An exchange that fills a gap does so within the hour, or much later: during the first hour a gap
# is requested each time.
_YOUNG = timedelta(hours=1)

_EVERYTHING = Selection()

NOTHING_LISTED: Listings = {}


@dataclass(slots=True)
class Incomplete:
    """The days to request again, by dataset and series; `in_back_off` counts the gapped days in
    back-off, the first of them due at `due_at`."""

    days: dict[Dataset, dict[str, list[date]]] = field(default_factory=dict)
    in_back_off: int = 0
    due_at: datetime | None = None


def incomplete_days(
    warehouse: Warehouse,
    now: datetime,
    selection: Selection = _EVERYTHING,
    listed: Listings = NOTHING_LISTED,
) -> Incomplete:
    """What to request again at `now`.

    For each dataset and series with stored or failed days, every past day should be settled: those
    that were ever requested, and those of a break of up to a month between them. Days that were
    requested and failed are due at once, including the current day. A gapped day is in back-off for
    as long as its gaps had been known when they were last requested, so that the intervals between
    requests grow. A day that rests on a listing is requested again once the listing has changed,
    according to `listed` or the table `instruments`. A first and a last day select among these
    days, and gapped ones are due now. A day of which the exchange no longer has what is missing is
    never due.
    """
    anytime = replace(selection, first=None, last=None)
    with warehouse.reading() as connection:
        held = proofs(connection, anytime)
        failed = failed_days(connection, anytime)
        known = {
            dataset: _Known(
                some,
                gaps_last_confirmed(connection, dataset, selection.series),
                unsupported(connection, some, listed),
            )
            for dataset, some in held.items()
        }
    failures: dict[Dataset, dict[str, set[date]]] = {}
    for each in failed:
        if each.day <= now.date():
            failures.setdefault(each.dataset, {}).setdefault(each.series, set()).add(each.day)
    found = Incomplete()
    for dataset in dict.fromkeys([*held, *failures]):
        due = failures.get(dataset, {})
        requested = {name: set(days) for name, days in due.items()}
        for proof in held.get(dataset, ()):
            requested.setdefault(proof.series, set()).add(proof.day)
        done = known[dataset].done(now, selection, due, found) if dataset in known else {}
        for name, days in requested.items():
            required = _wanted(dataset, days, now, selection) - done.get(name, set())
            required |= {day for day in due.get(name, ()) if _is_within(day, selection)}
            if required:
                found.days.setdefault(dataset, {})[name] = sorted(required)
    return found


@dataclass(frozen=True, slots=True)
class _Known:
    """The stored proofs of a dataset, when gaps of its days were last requested without success,
    and the days that rest on an outdated listing."""

    proofs: Sequence[Proof]
    confirmed: Mapping[tuple[str, date], datetime]
    relisted: Collection[tuple[str, date]]

    def done(
        self,
        now: datetime,
        selection: Selection,
        due: Mapping[str, Collection[date]],
        found: Incomplete,
    ) -> dict[str, set[date]]:
        """The days that need not be requested now, by series. Those in back-off are counted in
        `found`; there are none if a first or last day is selected, nor among those `due`."""
        done: dict[str, set[date]] = {}
        for proof in self.proofs:
            key = (proof.series, proof.day)
            if key in self.relisted:
                continue
            is_done = proof.is_settled or is_lost(proof)
            if (
                not is_done
                and proof.state is DayState.GAPPED
                and not (
                    selection.first or selection.last or proof.day in due.get(proof.series, ())
                )
            ):
                due_at = gap_due_at(proof.fetched_at, self.confirmed.get(key, proof.fetched_at))
                is_done = due_at > now
                if is_done:
                    found.in_back_off += 1
                    found.due_at = min(due_at, found.due_at or due_at)
            if is_done:
                done.setdefault(proof.series, set()).add(proof.day)
        return done


def _wanted(
    dataset: Dataset, days: Collection[date], now: datetime, selection: Selection
) -> set[date]:
    """The days that should be settled, as far as they are over and selected, for series of which
    these days were requested: these, and those of a short break as far as they are available."""
    newest, today = newest_over(dataset, now), now.date()
    spans = spans_of(days, bridging=_BRIDGED_DAYS)
    return {
        day
        for begin, end in spans
        for day in days_between(begin, min(end, newest))
        if _is_within(day, selection) and (day in days or dataset.is_kept_whole(day, today))
    }


def _is_within(day: date, selection: Selection) -> bool:
    first, last = selection.first, selection.last
    return (first is None or day >= first) and (last is None or day <= last)


def gap_due_at(noticed_at: datetime, confirmed_at: datetime) -> datetime:
    """When to request gaps again that were first noticed, and last confirmed, at these times."""
    known_for = confirmed_at - noticed_at
    return confirmed_at + (known_for if known_for >= _YOUNG else timedelta(0))


def newest_over(dataset: Dataset, now: datetime) -> date:
    """The newest day whose last row is closed at `now`, whatever the resolution of its candles."""
    return (now - dataset.overhang).date() - timedelta(days=1)


def settled_days(connection: Connection, dataset: Dataset, days: Days) -> list[Proof]:
    """The proofs of those days that need no request, excluding days that rest on an outdated
    listing according to the table `instruments`."""
    required = {(name, day) for name, some in days.items() for day in some}
    if not required:
        return []
    first, last = min(day for _, day in required), max(day for _, day in required)
    found = proofs_of(connection, dataset, list(days), first, last)
    settled = [
        proof
        for proof in found
        if (proof.is_settled or is_lost(proof)) and (proof.series, proof.day) in required
    ]
    relisted = unsupported(connection, settled, NOTHING_LISTED)
    return [proof for proof in settled if (proof.series, proof.day) not in relisted]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the days of a backfill before any is requested.

    `settled` are the proofs of those that need no request. `on_listing` are the instruments whose
    listing some of these rest on, if no newer listing is stored; `listed` are the listings that
    were requested since.
    """

    settled: Mapping[Key, Proof] = field(default_factory=dict)
    on_listing: Sequence[str] = ()
    listed: Listings = field(default_factory=dict)

    def with_listings(self, listed: Listings) -> "Known":
        """The same, without the days that these listings no longer support."""
        settled = {
            key: proof
            for key, proof in self.settled.items()
            if proof.series not in listed or is_supported(proof, listed[proof.series])
        }
        return replace(self, settled=settled, listed={**self.listed, **listed})

    def unsettled(self, days: Days) -> dict[str, list[date]]:
        """The days that must be requested, by series; series without any are omitted."""
        left = {
            name: [day for day in some if (name, day) not in self.settled]
            for name, some in days.items()
        }
        return {name: some for name, some in left.items() if some}


def known_of(warehouse: Warehouse, dataset: Dataset, days: Days) -> Known:
    """What the warehouse holds of these days."""
    if not warehouse.exists():  # requests need not wait until an empty one is created
        return Known()
    with warehouse.reading() as connection:
        settled = settled_days(connection, dataset, days)
        on_listing = unknown_to(connection, settled)
    return Known({(proof.series, proof.day): proof for proof in settled}, on_listing)


def holds_nothing(warehouse: Warehouse, selection: Selection) -> bool:
    """Whether none of the selected days was ever requested."""
    with warehouse.reading() as connection:
        held = any(proofs(connection, selection).values())
        return not held and not failed_days(connection, selection)


def held_names_on_listing(warehouse: Warehouse, selection: Selection) -> list[str]:
    """The instruments with settled days that rest on a listing, if no newer listing is stored."""
    with warehouse.reading() as connection:
        held = proofs(connection, selection)
        return unknown_to(connection, [proof for some in held.values() for proof in some])


def held_series(warehouse: Warehouse, selection: Selection = _EVERYTHING) -> set[str]:
    """The instruments, currencies and indices of which any day was ever requested."""
    with warehouse.reading(as_it_is=True) as connection:
        held = proofs(connection, Selection(selection.datasets))
        failed = failed_days(connection, Selection(selection.datasets))
    return {proof.series for some in held.values() for proof in some} | {
        each.series for each in failed
    }
