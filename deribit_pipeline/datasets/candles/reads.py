"""What the warehouse holds, read on a connection that somebody else opened."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta

import numpy as np

from deribit_pipeline.domain.candles import CANDLE_VALUES, Candles, Resolution
from deribit_pipeline.domain.proofs import CrossCheck, DayProof, DayState
from deribit_pipeline.domain.windows import TimeWindow, from_ms
from deribit_pipeline.warehouse.place import Connection

VALUES = ", ".join(CANDLE_VALUES)
_EPOCH = datetime.fromtimestamp(0, UTC)
_FITS = """
    (len($instrument_names) = 0 or instrument_name in $instrument_names)
    and ($resolution is null or resolution = $resolution)
    and ($first is null or day >= $first)
    and ($last is null or day <= $last)
"""
SERIES = "instrument_name = $instrument_name and resolution = $resolution"


def has_table(connection: Connection, name: str) -> bool:
    """Whether the file knows a table: one of an older version, read as it is, may not."""
    return bool(
        connection.execute(
            "select 1 from duckdb_tables() "
            "where database_name = current_database() and table_name = $name",
            {"name": name},
        ).fetchall()
    )


def days_with_verdict(table: str) -> str:
    """What to read proofs from: a file of an older version has no cross-check, and null here."""
    absent = "select '' as verdict, '' as cross_check limit 0"
    return f"(from {table} union all by name ({absent})) as days"


def proofs(
    connection: Connection,
    instrument_names: Collection[str] = (),
    resolution: Resolution | None = None,
    first: date | None = None,
    last: date | None = None,
) -> list[DayProof]:
    """The proofs of every day that fits, by instrument, resolution and day."""
    rows = connection.execute(
        f"""
        select instrument_name, resolution, day, state, expected, received, missing,
               without_trades, content_hash, revised, epoch_us(fetched_at),
               coalesce(verdict, ''), coalesce(cross_check, 'none')
        from {days_with_verdict("candle_days")}
        where {_FITS}
        order by instrument_name, resolution, day
        """,
        _fits(instrument_names, resolution, first, last),
    ).fetchall()
    return [
        DayProof(
            name, Resolution(spelling), day, DayState(state), expected, received, missing,
            without_trades, content_hash, revised, _EPOCH + timedelta(microseconds=fetched_us),
            verdict, CrossCheck(cross_check),
        )
        for (
            name, spelling, day, state, expected, received, missing,
            without_trades, content_hash, revised, fetched_us, verdict, cross_check,
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
        select epoch_ms(opened_at) as opened_at, {VALUES}
        from candles
        where {SERIES} and opened_at >= $start and opened_at < $end
        order by opened_at
        """,
        series_parameters(instrument_name, resolution) | {"start": window.start, "end": window.end},
    ).fetchnumpy()
    return Candles(
        rows["opened_at"].astype("datetime64[ms]"),
        np.column_stack([rows[name] for name in CANDLE_VALUES]),
    )


def gaps_by_day(
    connection: Connection, instrument_name: str, resolution: Resolution, window: TimeWindow
) -> dict[date, int]:
    """How many gaps are named on each day of the window that has some."""
    rows = connection.execute(
        f"""
        select cast(timezone('UTC', opened_at) as date), count(distinct opened_at)
        from candle_gaps
        where {SERIES} and opened_at >= $start and opened_at < $end
        group by all
        """,
        series_parameters(instrument_name, resolution) | {"start": window.start, "end": window.end},
    ).fetchall()
    return dict(rows)


def runs_of_days(
    connection: Connection,
    instrument_names: Collection[str] = (),
    resolution: Resolution | None = None,
) -> dict[tuple[str, Resolution, date], str]:
    """The id of the run that wrote a day, by instrument, resolution and day."""
    rows = connection.execute(
        f"select instrument_name, resolution, day, run_id from candle_days where {_FITS}",
        _fits(instrument_names, resolution, None, None),
    ).fetchall()
    return {(name, Resolution(spelling), day): run_id for name, spelling, day, run_id in rows}


def first_gaps(
    connection: Connection,
    most: int,
    instrument_names: Collection[str] = (),
    resolution: Resolution | None = None,
) -> dict[tuple[str, Resolution, date], list[datetime]]:
    """When the first gaps of a day open, at most `most`, by instrument, resolution and day."""
    rows = connection.execute(
        f"""
        select instrument_name, resolution, cast(timezone('UTC', opened_at) as date) as day,
               list_sort(list(distinct epoch_ms(opened_at)))[:$most]
        from candle_gaps where {_FITS} group by all
        """,
        _fits(instrument_names, resolution, None, None) | {"most": most},
    ).fetchall()
    return {
        (name, Resolution(spelling), day): [from_ms(opened_ms) for opened_ms in opened]
        for name, spelling, day, opened in rows
    }


def gaps_last_confirmed(
    connection: Connection,
    instrument_names: Collection[str] = (),
    resolution: Resolution | None = None,
) -> dict[tuple[str, Resolution, date], datetime]:
    """When the gaps of a day were last asked for in vain, by instrument, resolution and day."""
    rows = connection.execute(
        f"""
        select instrument_name, resolution, cast(timezone('UTC', opened_at) as date) as day,
               epoch_us(max(confirmed_at))
        from candle_gaps where {_FITS} group by all
        """,
        _fits(instrument_names, resolution, None, None),
    ).fetchall()
    return {
        (name, Resolution(spelling), day): _EPOCH + timedelta(microseconds=confirmed_us)
        for name, spelling, day, confirmed_us in rows
    }


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
            from candles where {_FITS} group by all
        )
        select * from held anti join candle_days using (instrument_name, resolution, day)
        order by all
        """,
        _fits(instrument_names, resolution, first, last),
    ).fetchall()


def series_parameters(instrument_name: str, resolution: Resolution) -> dict[str, object]:
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
