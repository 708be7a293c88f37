"""A backfill of trades that takes in what was recorded, and accounts for it at its end."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial

from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.datasets.trades.recorded import trade_stream
from deribit_pipeline.datasets.trades.recorder_sessions import (
    Session,
    are_stored,
    count_holes,
    figures_of,
    former_session,
    instruments_of,
    sessions_on,
    stored_instruments,
    write_sessions,
)
from deribit_pipeline.datasets.trades.values import differing
from deribit_pipeline.domain.proofs import DayState, FetchedDay
from deribit_pipeline.domain.rows import joined_rows
from deribit_pipeline.domain.windows import ONE_DAY
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.engine.proof_reads import proofs_of, series_held
from deribit_pipeline.engine.recordings import opened_spool, remove_proved
from deribit_pipeline.engine.source import Context, FailedDays, SeriesSession, SeriesSource
from deribit_pipeline.spool.folder import INSTRUMENT_STATE, Spool, stream_of
from deribit_pipeline.warehouse.place import Connection

TakenIn = Callable[[str, Sequence[date]], AsyncGenerator[FetchedDay | FailedDays]]
"""Fetches a series' days, except for what was recorded."""

# A gapped day has all trades that were recorded or can be requested.
_OVER = (DayState.COMPLETE, DayState.GAPPED, DayState.NOT_LISTED)


class TradesSession(SeriesSession):
    """A backfill of trades, from the spool unless it is forced.

    At its end the recorder's sessions on these days are written to `recorder_sessions`, and
    recordings are removed once they are proved.
    """

    def __init__(self, source: SeriesSource, context: Context, taken_in: TakenIn) -> None:
        super().__init__(source, context)
        self._taken_in = taken_in

    def _fetched(
        self, series: str, days: Sequence[date]
    ) -> AsyncGenerator[FetchedDay | FailedDays]:
        return self._taken_in(series, days)

    async def again(self, day: FetchedDay) -> FetchedDay:
        """See Session. A recording would only repeat itself: two responses must agree, or one with
        what was recorded, whose other values are kept."""
        found = await SeriesSession(self._source, self.context).again(day)
        others = [] if day.superseded is None else [day.superseded]
        superseded = joined_rows([*others, differing(day.rows, found.rows)])
        return replace(found, recorded=day.recorded, superseded=superseded)

    async def end(self, days: Days) -> None:
        """See Session."""
        await asyncio.to_thread(self._account, days)

    def _account(self, days: Days) -> None:
        spool = self.context.exchange.spool
        if spool is None or not spool.exists():
            return
        every: list[Session] = []
        for stream in sorted({trade_stream(name) for name in days}):
            series = stream.removeprefix(stream_of(TRADES.name, ""))
            wanted = {day for name in days if trade_stream(name) == stream for day in days[name]}
            recorded = sorted(wanted.intersection(spool.days(stream)))
            read = {day: self._written(spool, series, day) for day in recorded}
            is_held = partial(self._is_held, series, read, set(days))
            for day in remove_proved(self.context.exchange, stream, is_held):
                spool.remove(stream_of(INSTRUMENT_STATE, series), day)
            every += [session for sessions in read.values() for session in sessions]
        self.figures = figures_of(every)

    def _written(self, spool: Spool, series: str, day: date) -> list[Session]:
        """The sessions of a stream's day, written to the warehouse."""
        with self.context.warehouse.reading() as connection:
            former = former_session(connection, series, day)
            sessions = sessions_on(spool, series, day, former)
            names = stored_instruments(connection, day, instruments_of(sessions))
            count_holes(connection, sessions, day, names)

        def write(connection: Connection) -> None:
            write_sessions(connection, series, day, sessions)

        # Runs of other instruments of the stream write the same rows.
        self.context.warehouse.write(write, {stream_of(TRADES.name, series)})
        return sessions

    def _is_held(
        self,
        series: str,
        read: Mapping[date, Sequence[Session]],
        requested: set[str],
        day: date,
    ) -> bool:
        """Whether the recorded trades of a stream's day are stored and proved, except for
        instruments that are neither configured nor requested nor stored. Files also have trades
        from just before midnight: they stay as long as those of the day before. `read` are the
        sessions of days."""
        spool = opened_spool(self.context.exchange)
        if day - ONE_DAY in spool.days(stream_of(TRADES.name, series)):
            return False
        sessions = read.get(day) or sessions_on(spool, series, day, None)
        names = instruments_of(sessions)
        with self.context.warehouse.reading() as connection:
            promised = {*spool.instruments, *requested, *series_held(connection, TRADES)}
            known = promised.intersection(names)
            proofs = proofs_of(connection, TRADES, sorted(known), day, day) if known else ()
            proved = {each.series for each in proofs if each.state in _OVER}
            return proved == known and are_stored(connection, sessions, day, proved)
