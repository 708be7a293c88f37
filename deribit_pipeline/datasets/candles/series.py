"""Candles of any resolution over a window: as the exchange told them, or made of minutes."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from deribit_pipeline.datasets.candles import CANDLES, reads
from deribit_pipeline.datasets.candles.known import EVERYTHING, Known
from deribit_pipeline.datasets.candles.reads import SERIES, VALUES, series_parameters
from deribit_pipeline.datasets.candles.rollup import ROLLED
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.proofs import DayState, Proof
from deribit_pipeline.domain.windows import ONE_DAY, TimeWindow
from deribit_pipeline.engine.selected_series import Excerpt, days_of, lacking
from deribit_pipeline.errors import WarehouseError
from deribit_pipeline.warehouse.place import Connection

_MINUTE = Resolution.MINUTE_1
_EPOCH = datetime.fromtimestamp(0, UTC)
_DAY = "cast(timezone('UTC', opened_at) as date)"

_AS_TOLD = f"""
    select opened_at, {VALUES} from (from {{source}}) as candles
    where {SERIES} and opened_at >= $start and opened_at < $end
"""

# The first candle may begin before the window, and is not in it; the last may end after it.
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
) -> Excerpt:
    """The candles that open in the window, for each UTC day that they open on: as the exchange
    told them where these are complete, else made of its one-minute candles where those are.

    Of a day on which neither are complete, the candles that are held; where none ever were, those
    of which every minute is held. Candles of 1D open at 08:00; those of 180, 360 and 720 minutes
    as held ones do, else counted from 00:00 UTC. Made of minutes, a candle counts those without a
    trade in, which repeat the last close.

    Where not everything is `known` that is held today, a candle is made only of all its minutes.
    """
    days = days_of(window)
    told = _proofs(connection, instrument_name, resolution, days)
    minutes: dict[date, Proof] = {}
    anchor = timedelta(0)
    if resolution is not _MINUTE and not all(_is_settled(told, day) for day in days):
        anchor = _anchor(connection, instrument_name, resolution)
        minutes = _proofs(connection, instrument_name, _MINUTE, [*days, days[-1] + ONE_DAY])
    made_of = {day: (day, day + ONE_DAY) if anchor else (day,) for day in days}
    proved = [day for day in days if all(_is_settled(minutes, each) for each in made_of[day])]
    rolled_up = [
        day
        for day in days
        if not _is_settled(told, day)
        and (day in proved or (day not in told and any(each in minutes for each in made_of[day])))
    ]
    as_told = [day for day in days if day not in rolled_up]
    standing = {day: told.get(day) for day in as_told} | {
        day: min((minutes.get(each) for each in made_of[day]), key=_settles) for day in rolled_up
    }
    used = {each: minutes[each] for day in rolled_up for each in made_of[day] if each in minutes}
    query, parameters = _AS_TOLD, series_parameters(instrument_name, resolution) | known.parameters
    if rolled_up:
        query = f"{_AS_TOLD} and {_DAY} in (select unnest($as_told)) union all {_MADE_OF_MINUTES}"
        parameters |= {
            "as_told": as_told,
            "rolled_up": rolled_up,
            "proved": proved if known.is_everything else [],
            "minutes": resolution.duration // timedelta(minutes=1),
            "origin": _EPOCH + anchor,
        }
    return Excerpt(
        CANDLES[resolution],
        instrument_name,
        query.format(source=known.source),
        parameters | {"start": window.start, "end": window.end},
        "opened_at",
        "opened_at",
        [*(told[day] for day in as_told if day in told), *used.values()],
        lacking({day: standing[day] for day in days}),
        rolled_up,
    )


def newest_complete_day(
    connection: Connection, instrument_name: str, resolution: Resolution
) -> date | None:
    """The newest day whose candles are complete, or whose minutes are; None where there is none."""
    return max(
        (
            proof.day
            for each in (resolution, _MINUTE)
            for proof in reads.proofs(connection, (instrument_name,), each)
            if proof.state is DayState.COMPLETE
        ),
        default=None,
    )


def _proofs(
    connection: Connection, instrument_name: str, resolution: Resolution, days: Sequence[date]
) -> dict[date, Proof]:
    found = reads.proofs(connection, (instrument_name,), resolution, days[0], days[-1])
    return {proof.day: proof for proof in found}


def _is_settled(proofs: dict[date, Proof], day: date) -> bool:
    return day in proofs and proofs[day].is_settled


def _settles(proof: Proof | None) -> bool:
    return proof is not None and proof.is_settled


def _anchor(connection: Connection, instrument_name: str, resolution: Resolution) -> timedelta:
    """How long after midnight UTC candles open. Raises WarehouseError where those held disagree."""
    if resolution.anchor is not None:
        return resolution.anchor
    phases = connection.execute(
        f"select distinct epoch_ms(opened_at) % $length from candles where {SERIES}",
        series_parameters(instrument_name, resolution)
        | {"length": resolution.duration // timedelta(milliseconds=1)},
    ).fetchall()
    if len(phases) > 1:
        raise WarehouseError(
            f"The {resolution.label} candles of {instrument_name} that are held open on several "
            "grids, so none can be made of minutes: see the check opens_on_the_grid_once."
        )
    return timedelta(milliseconds=phases[0][0]) if phases else timedelta(0)
