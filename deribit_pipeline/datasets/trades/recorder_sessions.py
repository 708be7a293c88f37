"""How well trades were recorded: latency, connections and holes of each process of the recorder, by
stream and day. Computed from the spool and the stored trades, so that it needs no state."""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import numpy as np
import orjson

from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.datasets.trades.table import RECORDER_SESSIONS
from deribit_pipeline.datasets.trades.trade_numbers import Numbers
from deribit_pipeline.datasets.trades.wire import number_and_time
from deribit_pipeline.domain.windows import day_window, from_us, to_ms
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.spool.folder import Spool, stream_of
from deribit_pipeline.spool.spool_entries import (
    CONNECTED,
    DISCONNECTED,
    FRAME,
    STARTED,
    STOPPED,
    Entry,
)
from deribit_pipeline.warehouse.connections import insert_rows
from deribit_pipeline.warehouse.place import Connection

_DAY_MS = 86_400_000


@dataclass(slots=True, eq=False)
class Session:
    """What a process of the recorder wrote of a stream on a day.

    `numbers` are those of its trades of the day by instrument, as received: the files of a day also
    have trades from just before it. `latencies` are in milliseconds, by the exchange's clock.
    `holes`, `missing` and `fetched` are counted against the stored trades.
    """

    day: date
    started_at: datetime
    seen_until: datetime
    is_ended: bool = False
    connections: int = 0
    disconnections: int = 0
    frames: int = 0
    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    numbers: "dict[str, array[int]]" = field(
        default_factory=lambda: defaultdict(lambda: array("q"))
    )
    holes: int = 0
    missing: int = 0
    fetched: int = 0
    _day_number: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._day_number = to_ms(day_window(self.day).start) // _DAY_MS

    def add(self, entry: Entry) -> None:
        """Take in an entry of the spool."""
        self.seen_until = max(self.seen_until, entry.recorded_at)
        self.is_ended |= entry.event == STOPPED
        self.connections += entry.event == CONNECTED
        self.disconnections += entry.event == DISCONNECTED
        if entry.event == FRAME:
            self.frames += 1
            for trade in _trades_of(entry.body):
                name, (number, ms) = trade.get("instrument_name"), number_and_time(trade)
                if type(name) is not str or number is None or ms is None:
                    continue
                self.latencies.append(entry.facts.get("received_us", 0) / 1_000 - ms)
                if ms // _DAY_MS == self._day_number:
                    self.numbers[name].append(number)

    @property
    def trades(self) -> int:
        """How many trades it received, repeated ones included."""
        return len(self.latencies)

    def latency(self, percentile: float) -> float | None:
        """The percentile of its latencies; None without trades."""
        return float(np.percentile(self.latencies, percentile)) if self.latencies else None


def sessions_on(spool: Spool, series: str, day: date, former: datetime | None) -> list[Session]:
    """The sessions of a stream of trades on a day, in order. A process that started on an earlier
    day did so at `former`; if that is not known, its first entry of the day counts."""
    sessions: list[Session] = []
    for entry in spool.entries(stream_of(TRADES.name, series), day):
        if entry.event == STARTED or not sessions:
            started_us = entry.facts.get("session_us")
            if entry.event == STARTED and isinstance(started_us, int):
                started_at = from_us(started_us)
            else:
                started_at = former or entry.recorded_at
            sessions.append(Session(day, started_at, entry.recorded_at))
        sessions[-1].add(entry)
    return sessions


def instruments_of(sessions: Iterable[Session]) -> list[str]:
    """The instruments whose trades were recorded."""
    return sorted({name for session in sessions for name in session.numbers})


def count_holes(
    connection: Connection, sessions: Sequence[Session], day: date, names: Iterable[str]
) -> None:
    """Count the holes in the recorded numbers of these instruments, each in the session that
    received the trade after it."""
    for name in names:
        stored = _stored(connection, name, day)
        parts = [np.array(each.numbers.get(name, ()), np.int64) for each in sessions]
        numbers, firsts = np.unique(np.concatenate(parts), return_index=True)
        session_of = np.repeat(np.arange(len(parts)), [len(part) for part in parts])[firsts]
        is_true = np.isin(numbers, stored)  # a wrong number would make a hole of any size
        numbers, session_of = numbers[is_true], session_of[is_true]
        missing = np.diff(numbers) - 1
        fetched = np.diff(np.searchsorted(stored, numbers)) - 1
        for place, session in enumerate(sessions):
            is_its_own = (session_of[1:] == place) & (missing > 0)
            session.holes += int(np.count_nonzero(is_its_own))
            session.missing += int(missing[is_its_own].sum())
            session.fetched += int(fetched[is_its_own].sum())


def are_stored(
    connection: Connection, sessions: Sequence[Session], day: date, names: Iterable[str]
) -> bool:
    """Whether all recorded trades of these instruments on a day are stored, as far as their numbers
    are between those of stored ones: others are wrong."""
    for name in names:
        stored = _stored(connection, name, day)
        numbers = np.concatenate(
            [np.array(each.numbers.get(name, ()), np.int64) for each in sessions]
        )
        is_of_day = (numbers > stored[0]) & (numbers < stored[-1]) if len(stored) else numbers > 0
        if not np.isin(numbers[is_of_day], stored).all():
            return False
    return True


def stored_instruments(connection: Connection, day: date, names: Sequence[str]) -> list[str]:
    """Those of the instruments of which trades of the day are stored."""
    proofs = proofs_of(connection, TRADES, names, day, day) if names else []
    return sorted(proof.series for proof in proofs if proof.received)


def former_session(connection: Connection, series: str, day: date) -> datetime | None:
    """When the process started that recorded a stream last before a day; None if not known."""
    found = connection.execute(
        f"select max(started_at) from {RECORDER_SESSIONS.name} "
        "where stream = $stream and day < $day",
        {"stream": series, "day": day},
    ).fetchall()
    started_at: datetime | None = found[0][0]
    return started_at


def write_sessions(
    connection: Connection, series: str, day: date, sessions: Sequence[Session]
) -> None:
    """Write the sessions of a stream's day in place of what is stored of them. Those whose files
    are gone stay."""
    names = instruments_of(sessions)
    runs = connection.execute(
        "select run_id from dataset_days where dataset = $dataset and day = $day "
        "and series in $names order by fetched_at desc limit 1",
        {"dataset": TRADES.name, "day": day, "names": names},
    ).fetchall()
    run_id = runs[0][0] if runs else ""
    connection.execute(
        f"delete from {RECORDER_SESSIONS.name} "
        "where stream = $stream and day = $day and started_at in $started",
        {"stream": series, "day": day, "started": [each.started_at for each in sessions]},
    )
    insert_rows(
        connection,
        RECORDER_SESSIONS,
        [
            (
                series, day, each.started_at, each.seen_until, each.is_ended, each.connections,
                each.disconnections, each.frames, each.trades, each.latency(50), each.latency(99),
                each.holes, each.missing, each.fetched, each.missing - each.fetched, run_id,
            )
            for each in sessions
        ],
    )  # fmt: skip


def figures_of(sessions: Sequence[Session]) -> Mapping[str, float]:
    """The totals of sessions, as they are shown with a run."""
    if not sessions:
        return {}
    totals: dict[str, float] = {
        "disconnections": sum(each.disconnections for each in sessions),
        "recorded_holes": sum(each.holes for each in sessions),
        "missing_in_holes": sum(each.missing for each in sessions),
        "fetched_for_holes": sum(each.fetched for each in sessions),
    }
    latencies = np.concatenate([np.array(each.latencies) for each in sessions])
    if len(latencies):
        totals["latency_median_ms"] = round(float(np.percentile(latencies, 50)), 1)
        totals["latency_p99_ms"] = round(float(np.percentile(latencies, 99)), 1)
    return totals


def _trades_of(body: bytes) -> Iterator[dict[str, Any]]:
    """The trades of a notification; none if it is malformed, which taking in reports."""
    try:
        data = orjson.loads(body)["params"]["data"]
    except (ValueError, KeyError, TypeError):
        return
    yield from (
        (trade for trade in data if isinstance(trade, dict)) if isinstance(data, list) else ()
    )


def _stored(connection: Connection, instrument_name: str, day: date) -> Numbers:
    """The numbers of the stored trades of a day, sorted."""
    window = day_window(day)
    found = connection.execute(
        "select trade_seq from trades where instrument_name = $name "
        "and traded_at >= $start and traded_at < $end order by trade_seq",
        {"name": instrument_name, "start": window.start, "end": window.end},
    ).fetchnumpy()
    return np.asarray(found["trade_seq"]).astype(np.int64)
