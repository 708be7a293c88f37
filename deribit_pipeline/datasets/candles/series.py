"""Candles of any resolution over a window: published ones, or aggregated from minutes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.candles.known import (
    EVERY_DAY,
    EVERYTHING,
    Arrived,
    Known,
    arrived_by,
)
from deribit_pipeline.datasets.candles.reads import SERIES, VALUES, series_parameters
from deribit_pipeline.datasets.candles.rollup import ROLLED
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.grid import Grid
from deribit_pipeline.domain.proofs import DayState, Proof
from deribit_pipeline.domain.windows import (
    END_OF_TIME,
    ONE_DAY,
    TimeWindow,
    day_window,
    days_between,
)
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.engine.selected_series import (
    SelectedRows,
    days_of,
    ending,
    is_open_without_gaps,
    newest_row,
    proofs_within,
    state_as_text,
)
from deribit_pipeline.errors import WarehouseError
from deribit_pipeline.warehouse.place import Connection

_MINUTE = Resolution.MINUTE_1
_EPOCH = datetime.fromtimestamp(0, UTC)
_DAY = "cast(timezone('UTC', opened_at) as date)"

_OWN = f"""
    select opened_at, {VALUES} from (from {{source}}) as candles
    where {SERIES} and opened_at >= $start and opened_at < $end
"""

# A candle that begins before the window is excluded; the last one may end after it.
_MADE_OF_MINUTES = f"""
    select opened_at, {VALUES}
    from (
        select time_bucket(to_minutes($minutes), opened_at, $origin) as opened_at, {ROLLED}
        from (from {{source}}) as candles
        where instrument_name = $instrument_name and resolution = '{_MINUTE.value}'
          and candles.opened_at >= $start
          and candles.opened_at < $end + to_minutes($minutes)
        group by 1
    )
    where opened_at >= $start and opened_at < $end
      and {_DAY} in (select unnest($rolled_up))
      and (held = $minutes or {_DAY} in (select unnest($proved)))
"""


def candles(
    connection: Connection,
    instrument_name: str,
    resolution: Resolution,
    window: TimeWindow,
    known: Known = EVERYTHING,
) -> SelectedRows:
    """The candles that open in the window. On each UTC day they are the published ones if these
    are complete, else aggregated from one-minute candles if those are complete.

    A day that is not over is complete if every candle of it that opens in the window is closed and
    stored. A window that ends at END_OF_TIME ends with the last closed candle.

    On a day on which neither are complete, they are the stored candles, or, if none were ever
    requested, those of which every minute is stored. Candles of 1D open at 08:00; those of 180, 360
    and 720 minutes on the grid of stored ones, else counted from 00:00 UTC. An aggregated candle
    includes minutes without a trade, which repeat the last close.

    If `known` is an earlier state than today's, days that were stored later are not complete, and
    only candles of which every minute is stored are aggregated.
    """
    days = _days(connection, instrument_name, resolution, window, known)
    window = days.window
    rolled_up = [day for day in days.needs if days.are_aggregated(day)]
    as_published = [day for day in days.needs if day not in rolled_up]
    query, parameters = _OWN, series_parameters(instrument_name, resolution) | known.parameters
    if rolled_up:
        proved = list(filter(days.minutes_prove, days.needs)) if known.is_everything else []
        query = f"{_OWN} and {_DAY} in (select unnest($as_published)) union all {_MADE_OF_MINUTES}"
        parameters |= {
            "as_published": as_published,
            "rolled_up": rolled_up,
            "proved": proved,
            "minutes": resolution.duration // timedelta(minutes=1),
            "origin": _EPOCH + days.grid.anchor,
        }
    return SelectedRows(
        CANDLES[resolution],
        instrument_name,
        query.format(source=known.source),
        parameters | {"start": window.start, "end": window.end},
        "opened_at",
        "opened_at",
        days.proofs_used(as_published, rolled_up),
        {day: state for day in days.needs if (state := days.incomplete_state(day))},
        max(days.needs.values(), default=window.end),
        [day for day in rolled_up if day not in days.minutes.arrived.absent],
    )


@dataclass(slots=True)
class _Proofs:
    """The proofs of an instrument's candles of one resolution, by day, and which of them had
    arrived at the moment as of which candles are read."""

    connection: Connection
    instrument_name: str
    resolution: Resolution
    by_day: Mapping[date, Proof]
    arrived: Arrived = EVERY_DAY
    _closed_until: dict[date, datetime] = field(default_factory=dict)

    def prove(self, day: date, until: datetime) -> bool:
        """Whether every candle that opens on the day and closes by `until` is stored."""
        proof = self.by_day.get(day)
        if proof is None or day in self.arrived.late:
            return False
        if proof.is_settled:
            return True
        return is_open_without_gaps(proof) and until <= self.closed_until(day)

    def state(self, day: date) -> str:
        """Why a day is not proved, as text."""
        return self.arrived.state(day) or state_as_text(self.by_day.get(day))

    def closed_until(self, day: date) -> datetime:
        """When the last stored candle of an open day closes."""
        if day not in self._closed_until:
            dataset = CANDLES[self.resolution]
            newest = newest_row(self.connection, dataset, self.instrument_name, day)
            has_rows = self.by_day[day].received > 0
            self._closed_until[day] = newest + self.resolution.duration * has_rows
        return self._closed_until[day]

    def newest_close(self) -> datetime | None:
        """Until when candles are stored, if a day with a gap counts as whole; None if there are
        none."""
        if not self.by_day:
            return None
        last = max(self.by_day)
        if is_open_without_gaps(self.by_day[last]):
            return self.closed_until(last)
        return day_window(last).end


@dataclass(frozen=True, slots=True)
class _Days:
    """The days on which candles open in a window, and what is proved of them.

    `needs` has each such day, with the time at which its last candle in the window closes. `own`
    are the proofs of the candles themselves, `minutes` those of one-minute candles.
    """

    window: TimeWindow
    grid: Grid
    needs: Mapping[date, datetime]
    own: _Proofs
    minutes: _Proofs

    def minutes_prove(self, day: date) -> bool:
        return all(self.minutes.prove(each, until) for each, until in self._minutes_of(day).items())

    def are_aggregated(self, day: date) -> bool:
        """Whether the candles of a day are made of minutes."""
        is_stored = day not in self.own.arrived.absent
        if is_stored and self.own.prove(day, self.needs[day]):
            return False
        were_requested = any(each in self.minutes.by_day for each in self._minutes_of(day))
        return self.minutes_prove(day) or (day not in self.own.by_day and were_requested)

    def incomplete_state(self, day: date) -> str:
        """Why candles of a day are not proved, as text; empty if they are."""
        if not self.are_aggregated(day):
            is_proved = self.own.prove(day, self.needs[day])
            return "" if is_proved else self.own.state(day)
        for each, until in self._minutes_of(day).items():
            if not self.minutes.prove(each, until):
                state = self.minutes.state(each)
                if each == day:
                    return state
                hours = (until - day_window(each).start) // timedelta(hours=1)
                return f"its candle needs the first {hours} hours of {each}, {state}"
        return ""

    def proofs_used(self, as_published: list[date], rolled_up: list[date]) -> list[Proof]:
        """The proofs on which the candles depend, without duplicates."""
        own = [self.own.by_day[day] for day in as_published if day in self.own.by_day]
        needed = dict.fromkeys(each for day in rolled_up for each in self._minutes_of(day))
        return own + [self.minutes.by_day[day] for day in needed if day in self.minutes.by_day]

    def _minutes_of(self, day: date) -> dict[date, datetime]:
        """The days whose minutes are part of candles that open on a day, and until when."""
        until = self.needs[day]
        last = (until - timedelta.resolution).date()
        return {each: min(until, day_window(each).end) for each in days_between(day, last)}


def _days(
    connection: Connection,
    instrument_name: str,
    resolution: Resolution,
    window: TimeWindow,
    known: Known,
) -> _Days:
    """The days of the window; proofs of minutes are read only if they are needed."""
    nothing = _Proofs(connection, instrument_name, _MINUTE, {})
    own = _proofs(connection, instrument_name, resolution, window, known)
    if window.end < END_OF_TIME and not own.arrived.absent and not own.arrived.late:
        days = days_of(window)
        if all(own.by_day[day].is_settled if day in own.by_day else False for day in days):
            needs = {day: day_window(day).end for day in days}
            return _Days(window, Grid(resolution.duration, timedelta(0)), needs, own, nothing)
    grid = Grid(resolution.duration, anchor_of(connection, instrument_name, resolution))
    minutes = nothing
    if resolution is not _MINUTE:
        longer = TimeWindow(window.start, min(window.end + ONE_DAY, END_OF_TIME))
        minutes = _proofs(connection, instrument_name, _MINUTE, longer, known)
    window = _ending(window, own, minutes, grid)
    needs = {
        day: covered.end
        for day in days_of(window)
        if (part := day_window(day).intersection(window)) and (covered := grid.covered(part))
    }
    if not needs:  # no candle opens in the window: its days are required nevertheless
        needs = {day: day_window(day).end for day in days_of(window)}
    return _Days(window, grid, needs, own, minutes)


def _ending(window: TimeWindow, own: _Proofs, minutes: _Proofs, grid: Grid) -> TimeWindow:
    """The window; one that ends at END_OF_TIME ends with the last closed candle instead, or with
    its first day if there is none."""
    if window.end < END_OF_TIME:
        return window
    closed, made_until = own.newest_close(), minutes.newest_close()
    ends = [closed] if closed else []
    ends += [grid.floored(made_until)] if made_until else []
    end = max(ends, default=window.start)
    return TimeWindow(window.start, end) if end > window.start else ending(window, ())


def newest_complete_day(
    connection: Connection, instrument_name: str, resolution: Resolution
) -> date | None:
    """The newest day with complete candles, or with complete minutes; None if there is none."""
    return max(
        (
            proof.day
            for each in (resolution, _MINUTE)
            for proof in proofs_of(connection, CANDLES[each], (instrument_name,))
            if proof.state is DayState.COMPLETE
        ),
        default=None,
    )


def _proofs(
    connection: Connection,
    instrument_name: str,
    resolution: Resolution,
    window: TimeWindow,
    known: Known,
) -> _Proofs:
    found = proofs_within(connection, CANDLES[resolution], instrument_name, window)
    arrived = EVERY_DAY
    if known.moment is not None and found:
        arrived = arrived_by(connection, instrument_name, resolution, found, known.moment)
    return _Proofs(connection, instrument_name, resolution, found, arrived)


def anchor_of(connection: Connection, instrument_name: str, resolution: Resolution) -> timedelta:
    """How long after midnight UTC candles open. Raises WarehouseError if stored ones disagree."""
    if resolution.anchor is not None:
        return resolution.anchor
    phases = connection.execute(
        f"select distinct epoch_ms(opened_at) % $length from candles where {SERIES}",
        series_parameters(instrument_name, resolution)
        | {"length": resolution.duration // timedelta(milliseconds=1)},
    ).fetchall()
    if len(phases) > 1:
        raise WarehouseError(
            f"The stored {resolution.label} candles of {instrument_name} open on several grids, "
            "so none can be made of minutes: see the check candle_times_are_unique_and_regular."
        )
    return timedelta(milliseconds=phases[0][0]) if phases else timedelta(0)
