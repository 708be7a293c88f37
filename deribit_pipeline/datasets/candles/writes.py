"""Days into the warehouse: written whole, on a connection that somebody else opened."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.candles.reads import SERIES, VALUES, series_parameters
from deribit_pipeline.datasets.candles.table import CANDLE_DAYS
from deribit_pipeline.domain.candles import CANDLE_VALUES, Resolution
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.proofs import DayProof, ProvedDay
from deribit_pipeline.domain.windows import Moments, day_window, moment64
from deribit_pipeline.engine.proof_hashes import proof_hash, stored, sum_of
from deribit_pipeline.engine.series_proofs import NO_HASH_YET, add_to_series, hashed_anew
from deribit_pipeline.warehouse.connections import insert_rows
from deribit_pipeline.warehouse.place import Connection


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a day's rows come from."""

    environment: Environment
    source: str
    run_id: str


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
    first = days[0].proof
    dataset = CANDLES[first.resolution]
    known = [day.proof.day for day in days if day.proof.day in former]
    hashes = _hashes_of_first([day for day in days if day.proof.day not in former], provenance)
    with hashed_anew(connection, dataset, first.series, known):
        _write_days(connection, days, former, hashes, provenance)
    if hashes:
        added = (len(hashes), sum_of(hashes.values()))
        add_to_series(connection, dataset, {first.series: added})


def _write_days(
    connection: Connection,
    days: Sequence[ProvedDay],
    former: dict[date, DayProof],
    hashes: dict[date, str],
    provenance: Provenance,
) -> None:
    """Write whole days with the hashes of those that were never written before."""
    new = [day for day in days if day.proof is not former.get(day.proof.day)]
    for day in days:
        if day.proof.day in former:
            _confirm_gaps(connection, day)
        if len(day.gaps):
            _insert_gaps(connection, day)
    for day in new:
        if day.proof.day in former:
            _keep_revisions(connection, day, provenance)
            _delete(connection, day.proof)
    _insert_candles(connection, new)
    _insert_arrivals(connection, new, provenance)
    _insert_proofs(connection, [day.proof for day in new], hashes, provenance)


def unprove(
    connection: Connection, instrument_name: str, resolution: Resolution, days: Iterable[date]
) -> None:
    """Take the proofs of days back: they are open, and will be asked for again."""
    unproved = list(days)
    with hashed_anew(connection, CANDLES[resolution], instrument_name, unproved):
        connection.execute(
            f"update candle_days set state = 'open' where {SERIES} and day in $days",
            series_parameters(instrument_name, resolution) | {"days": unproved},
        )


def _delete(connection: Connection, proof: DayProof) -> None:
    window = day_window(proof.day)
    series = series_parameters(proof.instrument_name, proof.resolution)
    connection.execute(
        f"delete from candles where {SERIES} and opened_at >= $start and opened_at < $end",
        series | {"start": window.start, "end": window.end},
    )
    connection.execute(
        f"delete from candle_days where {SERIES} and day = $day", series | {"day": proof.day}
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
    with registered(connection, "incoming", incoming):
        connection.execute(
            f"""
            insert into candles by name
            select $instrument_name as instrument_name, $resolution as resolution,
                   opened_at::timestamptz as opened_at, {VALUES}
            from incoming
            """,
            series_parameters(filled[0].proof.instrument_name, filled[0].proof.resolution),
        )


def _insert_arrivals(
    connection: Connection, days: Sequence[ProvedDay], provenance: Provenance
) -> None:
    """Since when the candles that are new are held, a row for each unbroken stretch of them."""
    if not days:
        return
    stretches = [(day, stretch) for day in days for stretch in _stretches(day)]
    if not stretches:
        return
    incoming = {
        "first_opened_at": np.array([stretch[0] for _, stretch in stretches]),
        "last_opened_at": np.array([stretch[-1] for _, stretch in stretches]),
        "arrived_at": np.array([moment64(day.as_of, "us") for day, _ in stretches]),
    }
    proof = days[0].proof
    with registered(connection, "incoming", incoming):
        connection.execute(
            """
            insert into candle_arrivals by name
            select $instrument_name as instrument_name, $resolution as resolution,
                   first_opened_at::date as day, first_opened_at::timestamptz as first_opened_at,
                   last_opened_at::timestamptz as last_opened_at,
                   arrived_at::timestamptz as arrived_at, $run_id as run_id
            from incoming
            """,
            series_parameters(proof.instrument_name, proof.resolution)
            | {"run_id": provenance.run_id},
        )


def _stretches(day: ProvedDay) -> list[Moments]:
    """The unbroken stretches of the candles that arrived."""
    if not len(day.arrived):
        return []
    step = np.timedelta64(day.proof.resolution.duration, "ms")
    return np.split(day.arrived, np.flatnonzero(np.diff(day.arrived) > step) + 1)


def _proof_row(proof: DayProof, provenance: Provenance) -> tuple[object, ...]:
    return (
        proof.instrument_name, proof.resolution.value, proof.day, str(proof.state), proof.expected,
        proof.received, proof.missing, proof.without_trades, proof.content_hash, proof.revised,
        proof.fetched_at, str(provenance.environment), provenance.source, provenance.run_id,
        proof.verdict, str(proof.cross_check),
    )  # fmt: skip


def _hashes_of_first(days: Iterable[ProvedDay], provenance: Provenance) -> dict[date, str]:
    """The hashes of days that were never written before, so that nothing else is noted of them."""
    hashes = {}
    for day in days:
        proof = day.proof
        of_series = (proof.instrument_name, proof.resolution.value)
        gaps = [stored(*of_series, opened_at, 1, day.as_of) for opened_at in day.gaps]
        arrivals = [
            stored(
                *of_series, proof.day, stretch[0], stretch[-1], moment64(day.as_of, "us"),
                provenance.run_id,
            )
            for stretch in _stretches(day)
        ]  # fmt: skip
        row = stored(*_proof_row(proof, provenance))
        hashes[proof.day] = proof_hash(row, (gaps, arrivals, ()))
    return hashes


def _insert_proofs(
    connection: Connection,
    proven: Iterable[DayProof],
    hashes: dict[date, str],
    provenance: Provenance,
) -> None:
    rows = [
        (*_proof_row(proof, provenance), hashes.get(proof.day, NO_HASH_YET)) for proof in proven
    ]
    insert_rows(connection, CANDLE_DAYS, rows)


def _confirm_gaps(connection: Connection, day: ProvedDay) -> None:
    """Of the gaps that the day had, those that were filled go, the others count once more."""
    proof, window = day.proof, day_window(day.proof.day)
    series = series_parameters(proof.instrument_name, proof.resolution)
    with registered(connection, "named", {"opened_at": day.gaps}):
        connection.execute(
            f"""
            delete from candle_gaps
            where {SERIES} and opened_at >= $start and opened_at < $end
              and opened_at not in (select opened_at::timestamptz from named)
            """,
            series | {"start": window.start, "end": window.end},
        )
        connection.execute(
            f"""
            update candle_gaps set confirmed = confirmed + 1, confirmed_at = $confirmed_at
            where {SERIES} and opened_at in (select opened_at::timestamptz from named)
            """,
            series | {"confirmed_at": day.as_of},
        )


def _insert_gaps(connection: Connection, day: ProvedDay) -> None:
    """The gaps of the day that it did not have before."""
    proof = day.proof
    series = series_parameters(proof.instrument_name, proof.resolution)
    with registered(connection, "named", {"opened_at": day.gaps}):
        connection.execute(
            f"""
            insert into candle_gaps
            select $instrument_name, $resolution, opened_at::timestamptz, 1, $confirmed_at
            from named
            where opened_at::timestamptz not in (
                select opened_at from candle_gaps where {SERIES}
            )
            """,
            series | {"confirmed_at": day.as_of},
        )


def _keep_revisions(
    connection: Connection,
    day: ProvedDay,
    provenance: Provenance,
) -> None:
    """Keep the values that the day replaces, with the time over which they were held."""
    if not len(day.replaced):
        return
    statement = f"""
        insert into candle_revisions by name
        select instrument_name, resolution, opened_at, {VALUES},
               coalesce(
                   (
                       select max(replaced_at) from candle_revisions as earlier
                       where earlier.instrument_name = candles.instrument_name
                         and earlier.resolution = candles.resolution
                         and earlier.opened_at = candles.opened_at
                   ),
                   (
                       select min(arrived_at) from candle_arrivals as arrival
                       where arrival.instrument_name = candles.instrument_name
                         and arrival.resolution = candles.resolution
                         and candles.opened_at between first_opened_at and last_opened_at
                   )
               ) as held_from,
               $replaced_at as replaced_at, $run_id as run_id
        from candles
        where {SERIES} and opened_at in (select opened_at::timestamptz from changed)
        """
    series = series_parameters(day.proof.instrument_name, day.proof.resolution)
    with registered(connection, "changed", {"opened_at": day.replaced.opened_at}):
        connection.execute(
            statement, series | {"replaced_at": day.as_of, "run_id": provenance.run_id}
        )


@contextmanager
def registered(
    connection: Connection, name: str, columns: dict[str, NDArray[Any]]
) -> Iterator[None]:
    """Arrays as a relation that a statement can read without copying them."""
    connection.register(name, columns)
    try:
        yield
    finally:
        connection.unregister(name)
