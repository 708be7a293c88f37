"""Candles as they were known at an instant: the table or macro to read them from."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.windows import ONE_DAY, from_us
from deribit_pipeline.warehouse.place import Connection

# Whether a snapshot of a lake has exactly the rows of an instrument that arrived until an instant.
# Its timestamp does not show this: it is the time at which the transaction began, and days are
# written shortly after they are published.
_IS_THE_SAME = """
    select (
        select (count(*), count(*) filter (arrived_at <= $as_of))
        from candle_arrivals at (version => $snapshot) where instrument_name = $instrument_name
    ) = (
        select (count(*), count(*))
        from candle_arrivals where instrument_name = $instrument_name and arrived_at <= $as_of
    ) and (
        select (count(*), count(*) filter (replaced_at <= $as_of))
        from candle_revisions at (version => $snapshot) where instrument_name = $instrument_name
    ) = (
        select (count(*), count(*))
        from candle_revisions where instrument_name = $instrument_name and replaced_at <= $as_of
    )
"""


STORED_SINCE = "stored since"
"""What the state of a day has that was not stored yet at the moment."""


@dataclass(frozen=True, slots=True)
class Known:
    """What to select candles from, with its parameters, and the moment at which these were known;
    everything by default."""

    source: str = "candles"
    parameters: dict[str, object] = field(default_factory=dict)
    moment: datetime | None = None

    @property
    def is_everything(self) -> bool:
        """Whether it is everything that is stored today."""
        return self.moment is None


EVERYTHING = Known()


def known_at(
    connection: Connection, instrument_name: str, moment: datetime, snapshot: int | None
) -> Known:
    """The candles of an instrument as they were known at an instant of the exchange's clock.

    They are computed from arrivals and revisions, or read from the `snapshot` of a lake of that age
    if it holds the same rows, which is ten times faster.
    """
    if snapshot is not None:
        [(is_the_same,)] = connection.execute(
            _IS_THE_SAME,
            {"snapshot": snapshot, "instrument_name": instrument_name, "as_of": moment},
        ).fetchall()
        if is_the_same:
            return Known("candles at (version => $snapshot)", {"snapshot": snapshot}, moment)
    return Known("candles_as_of($as_of)", {"as_of": moment}, moment)


@dataclass(frozen=True, slots=True)
class Arrived:
    """What was stored of a resolution's candles by a moment: until when, None if nothing was; the
    days that were not complete then, each with the time since when it is; and the days of which
    nothing was stored by then."""

    until: datetime | None = None
    late: Mapping[date, datetime] = field(default_factory=dict)
    absent: Collection[date] = ()

    def state(self, day: date) -> str:
        """Why a day was not complete at the moment, as text; empty if it was."""
        since = self.late.get(day)
        return f"{STORED_SINCE} {since:%Y-%m-%d %H:%M} UTC" if since else ""


EVERY_DAY = Arrived()


def arrived_by(
    connection: Connection,
    instrument_name: str,
    resolution: Resolution,
    days: Collection[date],
    moment: datetime,
) -> Arrived:
    """What was stored by the moment, of the candles of these days that had closed by then.

    A day is late if some of them were stored later. The newest ones are not, if they were stored
    within a day: a pipeline that runs is behind by less.
    """
    rows = connection.execute(
        """
        select day, epoch_us(first_opened_at), epoch_us(last_opened_at), epoch_us(arrived_at)
        from candle_arrivals
        where instrument_name = $name and resolution = $resolution and day in $days
        """,
        {"name": instrument_name, "resolution": resolution.value, "days": list(days)},
    ).fetchall()
    length = resolution.duration
    ranges = [(day, *map(from_us, instants)) for day, *instants in rows]
    ends = [last + length for _, _, last, arrived in ranges if arrived <= moment]
    until = max(ends, default=None)
    late: dict[date, datetime] = {}
    for day, first, _, arrived in ranges:
        closed = first + length
        is_newest = until is not None and first >= until and closed > moment - ONE_DAY
        if arrived > moment >= closed and not is_newest:
            late[day] = max(arrived, late.get(day, arrived))
    stored = {day for day, _, _, arrived in ranges if arrived <= moment}
    return Arrived(until, late, {day for day, *_ in ranges} - stored)
