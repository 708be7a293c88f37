"""Stored and recorded trades of a window, and the candles that they make of the running day."""

from dataclasses import replace
from datetime import datetime, timedelta

from deribit_pipeline.datasets.candles.composed import grid_of
from deribit_pipeline.datasets.candles.reads import VALUES
from deribit_pipeline.datasets.candles.rollup import ROLLED
from deribit_pipeline.datasets.candles_rebuilt.former_trades import former_day
from deribit_pipeline.datasets.candles_rebuilt.queries import WHOLE, made_of
from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.domain.windows import TimeWindow, day_window, days_between, from_ms, moment64
from deribit_pipeline.engine import selected_series
from deribit_pipeline.engine.row_reads import columns_of
from deribit_pipeline.engine.selected_series import SelectedRows
from deribit_pipeline.reader.reading import Select
from deribit_pipeline.reader.recorded_part import (
    RECORDED_TRADES,
    Recorded,
    RecordedPart,
    load_recorded,
    unproved_days,
)
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

_IS_PROVED = """
    not list_contains(cast($unproved as date[]), cast(timezone('UTC', {at}) as date))
        as is_proved"""

_TRADES = ", ".join(column.name for column in columns_of(TRADES))
_IN_WINDOW = "instrument_name = $series and traded_at >= $start and traded_at < $end"

_MINUTE = timedelta(minutes=1)

# The temporary table of minutes that trades make, and that the warehouse does not have.
_RECORDED_CANDLES = "recorded_candles"

_WANTED = "select $series as instrument_name, unnest(cast($days as date[])) as day"
_TAPE = f"""
    from {TRADES.table.name} where instrument_name = $series and traded_at >= $tape_start
    union all from {RECORDED_TRADES} where instrument_name = $series"""

# Of these days all trades are known, except for the holes, whose minutes are left out.
_KNOWN_DAYS = f"""(
    select '{TRADES.name}' as dataset, $series as series, day, 'complete' as state,
           max(received) as received
    from (
        select day, received from dataset_days
        where dataset = '{TRADES.name}' and series = $series and state = 'complete'
        union all select day, 0 from wanted
        union all select distinct cast(timezone('UTC', traded_at) as date), 1 from tape
    )
    group by day
)"""

_REBUILD = f"""
insert into {_RECORDED_CANDLES} by name
with {made_of(_WANTED, _TAPE, WHOLE, _KNOWN_DAYS)}
select instrument_name, opened_at, {VALUES}
from made
where opened_at >= $begins and opened_at < $ends
  and not list_contains(cast($with_holes as timestamptz[]), opened_at)
  and opened_at not in (
      select opened_at from candles
      where instrument_name = $series and resolution = '1' and opened_at >= $begins
  )"""

_WITH_REBUILT = f"""
select opened_at, {VALUES}, {_IS_PROVED.format(at="opened_at")} from ({{found}})
union all
select opened_at, {VALUES}, false
from (
    select time_bucket(to_minutes($rebuilt_length), opened_at, $rebuilt_origin) as opened_at,
           {ROLLED}, bool_or(is_rebuilt) as is_new
    from (
        select opened_at, {VALUES}, false as is_rebuilt from candles
        where instrument_name = $rebuilt_of and resolution = '1' and opened_at >= $rebuilt_since
        union all
        select opened_at, {VALUES}, true from {_RECORDED_CANDLES}
        where instrument_name = $rebuilt_of
    ) as candles
    group by 1
)
where is_new and held = $rebuilt_length and opened_at >= $rebuilt_start and opened_at < $rebuilt_end
  and opened_at not in (select opened_at from ({{found}}))"""


def trades_with_recorded(recorded: Recorded) -> Select:
    """Selects stored trades, and those that are recorded and not stored yet, with the column
    `is_proved`."""

    def select(
        connection: Connection, warehouse: Warehouse, name: str, part: TimeWindow
    ) -> SelectedRows:
        found = selected_series.rows(connection, TRADES, name, part)
        loaded = load_recorded(connection, warehouse, recorded, name, part)
        return replace(
            found,
            query=f"select {_TRADES}, {_IS_PROVED.format(at='traded_at')} from {TRADES.table.name} "
            f"where {_IN_WINDOW} union all "
            f"select {_TRADES}, false from {RECORDED_TRADES} where {_IN_WINDOW}",
            parameters={
                "series": name,
                "start": part.start,
                "end": part.end,
                "unproved": unproved_days(found),
            },
            notes=loaded.notes,
        )

    return select


def with_rebuilt(
    connection: Connection,
    warehouse: Warehouse,
    recorded: Recorded,
    found: SelectedRows,
    length: timedelta,
    window: TimeWindow,
) -> SelectedRows:
    """Selected candles, and those that stored and recorded trades make of the day that is not
    proved, with the column `is_proved`.

    A minute in which trades are missing, or that is not over, is not made, nor is a longer candle
    with such a minute.
    """
    name = found.series
    loaded = load_recorded(connection, warehouse, recorded, name, window)
    begins = max(window.start, day_window(loaded.since.date()).start)
    _rebuild(connection, name, loaded, begins)
    return replace(
        found,
        query=_WITH_REBUILT.format(found=found.query),
        parameters={
            **found.parameters,
            "unproved": unproved_days(found),
            "rebuilt_of": name,
            "rebuilt_length": length // _MINUTE,
            "rebuilt_origin": from_ms(0) + grid_of(connection, name, length).anchor,
            "rebuilt_since": begins - length,
            "rebuilt_start": window.start,
            "rebuilt_end": window.end,
        },
        notes=loaded.notes,
    )


def _rebuild(
    connection: Connection, instrument_name: str, loaded: RecordedPart, begins: datetime
) -> None:
    """Add the closed minutes from `begins` on to the temporary table."""
    connection.execute(
        f"create temp table if not exists {_RECORDED_CANDLES} as "
        f"select instrument_name, opened_at, {VALUES} from candles limit 0"
    )
    if loaded.known_until is None or loaded.known_until < begins + _MINUTE:
        return
    connection.execute(
        _REBUILD,
        {
            "series": instrument_name,
            "days": list(days_between(begins.date(), loaded.known_until.date())),
            "tape_start": day_window(former_day(connection, instrument_name, begins.date())).start,
            "begins": begins,
            "ends": loaded.known_until.replace(second=0, microsecond=0),
            "with_holes": _minutes_with_holes(loaded, begins),
        },
    )


def _minutes_with_holes(loaded: RecordedPart, begins: datetime) -> list[datetime]:
    """The minutes in which trades may be missing."""
    spans = [(hole.before, hole.after) for hole in loaded.holes]
    if loaded.first_known is not None:
        spans.append((moment64(begins), loaded.first_known))
    minutes = {
        minute
        for first, last in spans
        for minute in range(*(int(at.astype("datetime64[m]").astype(int)) for at in (first, last)))
    } | {int(last.astype("datetime64[m]").astype(int)) for _, last in spans}
    return [from_ms(minute * 60_000) for minute in sorted(minutes)]
