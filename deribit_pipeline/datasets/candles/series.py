"""Candles of any resolution over a window: published ones, or aggregated from minutes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.candles.known import EVERYTHING, Known
from deribit_pipeline.datasets.candles.reads import SERIES, VALUES, series_parameters
from deribit_pipeline.datasets.candles.rollup import ROLLED
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.proofs import DayState, Proof
from deribit_pipeline.domain.windows import ONE_DAY, TimeWindow
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.engine.selected_series import (
    SelectedRows,
    days_of,
    incomplete_days,
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

    On a day on which neither are complete, they are the stored candles, or, if none were ever
    requested, those of which every minute is stored. Candles of 1D open at 08:00; those of 180, 360
    and 720 minutes on the grid of stored ones, else counted from 00:00 UTC. An aggregated candle
    includes minutes without a trade, which repeat the last close.

    If `known` is an earlier state than today's, only candles of which every minute is stored are
    aggregated.
    """
    days = days_of(window)
    own = _proofs(connection, instrument_name, resolution, days)
    minutes = _minutes(connection, instrument_name, resolution, days, own)
    rolled_up = [day for day in days if minutes.replace(own.get(day), day)]
    as_published = [day for day in days if day not in rolled_up]
    query, parameters = _OWN, series_parameters(instrument_name, resolution) | known.parameters
    if rolled_up:
        query = f"{_OWN} and {_DAY} in (select unnest($as_published)) union all {_MADE_OF_MINUTES}"
        parameters |= {
            "as_published": as_published,
            "rolled_up": rolled_up,
            "proved": list(filter(minutes.prove, days)) if known.is_everything else [],
            "minutes": resolution.duration // timedelta(minutes=1),
            "origin": _EPOCH + minutes.anchor,
        }
    return SelectedRows(
        CANDLES[resolution],
        instrument_name,
        query.format(source=known.source),
        parameters | {"start": window.start, "end": window.end},
        "opened_at",
        "opened_at",
        [*(own[day] for day in as_published if day in own), *minutes.used_by(rolled_up)],
        incomplete_days({d: minutes.weakest(d) if d in rolled_up else own.get(d) for d in days}),
        rolled_up,
    )


@dataclass(frozen=True, slots=True)
class _Minutes:
    """The proofs of one-minute candles, for longer candles that open `anchor` after midnight."""

    proofs: Mapping[date, Proof]
    anchor: timedelta

    def days_of(self, day: date) -> tuple[date, ...]:
        """The days whose minutes are part of candles that open on a day."""
        return (day, day + ONE_DAY) if self.anchor else (day,)

    def prove(self, day: date) -> bool:
        return all(_settles(self.proofs.get(each)) for each in self.days_of(day))

    def replace(self, own: Proof | None, day: date) -> bool:
        """Whether candles of a day are aggregated, given the proof of its published ones."""
        were_requested = any(each in self.proofs for each in self.days_of(day))
        return not _settles(own) and (self.prove(day) or (own is None and were_requested))

    def weakest(self, day: date) -> Proof | None:
        """A proof that is not settled, if there is one; None if a proof is missing."""
        return min((self.proofs.get(each) for each in self.days_of(day)), key=_settles)

    def used_by(self, days: Sequence[date]) -> list[Proof]:
        """The proofs on which the candles of these days depend, without duplicates."""
        needed = dict.fromkeys(each for day in days for each in self.days_of(day))
        return [self.proofs[day] for day in needed if day in self.proofs]


def _minutes(
    connection: Connection,
    instrument_name: str,
    resolution: Resolution,
    days: Sequence[date],
    own: Mapping[date, Proof],
) -> _Minutes:
    """The proofs of minutes; empty if the resolution's candles are complete on all days."""
    if resolution is _MINUTE or all(_settles(own.get(day)) for day in days):
        return _Minutes({}, timedelta(0))
    anchor = _anchor(connection, instrument_name, resolution)
    proofs = _proofs(connection, instrument_name, _MINUTE, [*days, days[-1] + ONE_DAY])
    return _Minutes(proofs, anchor)


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
    connection: Connection, instrument_name: str, resolution: Resolution, days: Sequence[date]
) -> dict[date, Proof]:
    found = proofs_of(connection, CANDLES[resolution], (instrument_name,), days[0], days[-1])
    return {proof.day: proof for proof in found}


def _settles(proof: Proof | None) -> bool:
    return proof is not None and proof.is_settled


def _anchor(connection: Connection, instrument_name: str, resolution: Resolution) -> timedelta:
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
