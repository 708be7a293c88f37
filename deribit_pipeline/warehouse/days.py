"""Days in the warehouse: read and written whole, on a connection that somebody else opened."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain import (
    CANDLE_VALUES,
    Candles,
    DayProof,
    DayState,
    Environment,
    ProvedDay,
    Resolution,
    TimeWindow,
    day_window,
)

Connection = duckdb.DuckDBPyConnection

_VALUES = ", ".join(CANDLE_VALUES)
_FITS = """
    (len($instrument_names) = 0 or instrument_name in $instrument_names)
    and ($resolution is null or resolution = $resolution)
    and ($first is null or day >= $first)
    and ($last is null or day <= $last)
"""
_SERIES = "instrument_name = $instrument_name and resolution = $resolution"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a day's rows come from."""

    environment: Environment
    source: str
    run_id: str


def proofs(
    connection: Connection,
    *,
    instrument_names: Collection[str] = (),
    resolution: Resolution | None = None,
    first: date | None = None,
    last: date | None = None,
) -> list[DayProof]:
    """The proofs of every day that fits, by instrument, resolution and day."""
    rows = connection.execute(
        f"""
        select instrument_name, resolution, day, state, expected, received, missing,
               without_trades, content_hash, revised, epoch_us(fetched_at)
        from candle_days
        where {_FITS}
        order by instrument_name, resolution, day
        """,
        _fits(instrument_names, resolution, first, last),
    ).fetchall()
    epoch = datetime.fromtimestamp(0, UTC)
    return [
        DayProof(
            name, Resolution(spelling), day, DayState(state), expected, received, missing,
            without_trades, content_hash, revised, epoch + timedelta(microseconds=fetched_us),
        )
        for (
            name, spelling, day, state, expected, received, missing,
            without_trades, content_hash, revised, fetched_us,
        ) in rows
    ]  # fmt: skip


def candles(
    connection: Connection,
    instrument_name: str,
    resolution: Resolution,
    window: TimeWindow,
) -> Candles:
    """The candles held that open in the window, in the order of time."""
    rows = connection.execute(
        f"""
        select epoch_ms(opened_at) as opened_at, {_VALUES}
        from candles
        where {_SERIES} and opened_at >= $start and opened_at < $end
        order by opened_at
        """,
        _series(instrument_name, resolution) | {"start": window.start, "end": window.end},
    ).fetchnumpy()
    return Candles(
        rows["opened_at"].astype("datetime64[ms]"),
        np.column_stack([rows[name] for name in CANDLE_VALUES]),
    )


def gaps_by_day(
    connection: Connection, instrument_name: str, resolution: Resolution
) -> dict[date, int]:
    """How many gaps are named on each day that has some."""
    rows = connection.execute(
        f"""
        select cast(timezone('UTC', opened_at) as date), count(distinct opened_at)
        from candle_gaps where {_SERIES} group by all
        """,
        _series(instrument_name, resolution),
    ).fetchall()
    return dict(rows)


def days_without_proof(
    connection: Connection,
    instrument_names: Collection[str] = (),
    resolution: Resolution | None = None,
    first: date | None = None,
    last: date | None = None,
) -> list[tuple[str, str, date, int]]:
    """Instrument, resolution and day of candles that no proof speaks of, and how many."""
    return connection.execute(
        f"""
        with held as (
            select instrument_name, resolution,
                   cast(timezone('UTC', opened_at) as date) as day, count(*) as candles
            from candles group by all
        )
        select * from held anti join candle_days using (instrument_name, resolution, day)
        where {_FITS} order by all
        """,
        _fits(instrument_names, resolution, first, last),
    ).fetchall()


def write_days(
    connection: Connection,
    days: Sequence[ProvedDay],
    former: dict[date, DayProof],
    provenance: Provenance,
) -> None:
    """Write whole days of one instrument and resolution: candles, proof, gaps and revisions.

    `former` are the proofs that stand of these days. A day about which nothing new was said is
    left alone, but for its gaps, which count one more confirmation.
    """
    if not days:
        return
    new = [day for day in days if day.proof is not former.get(day.proof.day)]
    for day in days:
        if day.proof.day in former or len(day.gaps):
            _write_gaps(connection, day)
    for day in new:
        if day.proof.day in former:
            _keep_revisions(connection, day, former[day.proof.day], provenance)
            _delete(connection, day.proof)
    _insert_candles(connection, new)
    _insert_proofs(connection, [day.proof for day in new], provenance)


def _delete(connection: Connection, proof: DayProof) -> None:
    window = day_window(proof.day)
    series = _series(proof.instrument_name, proof.resolution)
    connection.execute(
        f"delete from candles where {_SERIES} and opened_at >= $start and opened_at < $end",
        series | {"start": window.start, "end": window.end},
    )
    connection.execute(
        f"delete from candle_days where {_SERIES} and day = $day", series | {"day": proof.day}
    )


def _insert_candles(connection: Connection, days: Sequence[ProvedDay]) -> None:
    filled = [day for day in days if len(day.candles)]
    if not filled:
        return
    values = np.concatenate([day.candles.values for day in filled])
    incoming = {"opened_at": np.concatenate([day.candles.opened_at for day in filled])}
    incoming |= {
        name: np.ascontiguousarray(values[:, column]) for column, name in enumerate(CANDLE_VALUES)
    }
    with _registered(connection, "incoming", incoming):
        connection.execute(
            f"""
            insert into candles by name
            select $instrument_name as instrument_name, $resolution as resolution,
                   opened_at::timestamptz as opened_at, {_VALUES}
            from incoming
            """,
            _series(filled[0].proof.instrument_name, filled[0].proof.resolution),
        )


def _insert_proofs(
    connection: Connection, proven: Iterable[DayProof], provenance: Provenance
) -> None:
    rows = [
        (
            proof.instrument_name, proof.resolution.value, proof.day, str(proof.state),
            proof.expected, proof.received, proof.missing, proof.without_trades,
            proof.content_hash, proof.revised, proof.fetched_at,
            str(provenance.environment), provenance.source, provenance.run_id,
        )
        for proof in proven
    ]  # fmt: skip
    if rows:
        connection.executemany(
            "insert into candle_days values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14)", rows
        )


def _write_gaps(connection: Connection, day: ProvedDay) -> None:
    """The gaps of the day: those that were filled go, the others count one more confirmation."""
    proof, window = day.proof, day_window(day.proof.day)
    series = _series(proof.instrument_name, proof.resolution)
    confirmed_at = {"confirmed_at": day.as_of}
    with _registered(connection, "named", {"opened_at": day.gaps}):
        connection.execute(
            f"""
            delete from candle_gaps
            where {_SERIES} and opened_at >= $start and opened_at < $end
              and opened_at not in (select opened_at::timestamptz from named)
            """,
            series | {"start": window.start, "end": window.end},
        )
        connection.execute(
            f"""
            update candle_gaps set confirmed = confirmed + 1, confirmed_at = $confirmed_at
            where {_SERIES} and opened_at in (select opened_at::timestamptz from named)
            """,
            series | confirmed_at,
        )
        connection.execute(
            f"""
            insert into candle_gaps
            select $instrument_name, $resolution, opened_at::timestamptz, 1, $confirmed_at
            from named
            where opened_at::timestamptz not in (
                select opened_at from candle_gaps where {_SERIES}
            )
            """,
            series | confirmed_at,
        )


def _keep_revisions(
    connection: Connection,
    day: ProvedDay,
    former: DayProof,
    provenance: Provenance,
) -> None:
    """Keep the values that the day replaces, with the time over which they were held."""
    if not len(day.replaced):
        return
    statement = f"""
        insert into candle_revisions by name
        select instrument_name, resolution, opened_at, {_VALUES},
               coalesce(
                   (
                       select max(replaced_at) from candle_revisions as earlier
                       where earlier.instrument_name = candles.instrument_name
                         and earlier.resolution = candles.resolution
                         and earlier.opened_at = candles.opened_at
                   ),
                   $held_from
               ) as held_from,
               $replaced_at as replaced_at, $run_id as run_id
        from candles
        where {_SERIES} and opened_at in (select opened_at::timestamptz from changed)
        """
    moments = {
        "held_from": former.fetched_at,
        "replaced_at": day.as_of,
        "run_id": provenance.run_id,
    }
    with _registered(connection, "changed", {"opened_at": day.replaced.opened_at}):
        connection.execute(statement, _series(former.instrument_name, former.resolution) | moments)


@contextmanager
def _registered(
    connection: Connection, name: str, columns: dict[str, NDArray[Any]]
) -> Iterator[None]:
    """Arrays as a relation that a statement can read without copying them."""
    connection.register(name, columns)
    try:
        yield
    finally:
        connection.unregister(name)


def _series(instrument_name: str, resolution: Resolution) -> dict[str, object]:
    return {"instrument_name": instrument_name, "resolution": resolution.value}


def _fits(
    instrument_names: Collection[str],
    resolution: Resolution | None,
    first: date | None,
    last: date | None,
) -> dict[str, object]:
    return {
        "instrument_names": list(instrument_names),
        "resolution": resolution.value if resolution else None,
        "first": first,
        "last": last,
    }
