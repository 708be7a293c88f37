"""Plan of trade numbers for contiguous days: from a trade before them to one after them.

The numbers are found by time, from a few trades around the days. A wrong one is detected when the
surrounding trades are fetched; until then it must not cost more than a small multiple of the days.
"""

from asyncio import to_thread
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np

from deribit_pipeline.datasets.trades.held import HeldTrades
from deribit_pipeline.datasets.trades.hosts import HINTS, Newest, TradeHosts
from deribit_pipeline.datasets.trades.trade_numbers import NO_TRADES
from deribit_pipeline.datasets.trades.values import MARGIN, out_of_order, unique_rows
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.rows import Columns, count_of, joined_rows
from deribit_pipeline.domain.windows import day_window, from_moment64, moment64

LATE = timedelta(minutes=1)
"""How long after midnight UTC trades of the day before may still appear for the first time."""

_ROUNDS = 3  # how often trades around the days are requested until numbers and times are consistent

# A plan with more chunks than this is followed only if a second, different request confirms the
# trades that it is based on.
_MUCH = 20

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Span:
    """Contiguous days of an instrument, and the range of numbers that contains all of their trades.

    `last` is the newest number of all; `as_of` is the exchange's time of that response, and
    `known_until` the instant before which no more trades can appear.
    """

    days: Sequence[date]
    numbers: range
    last: int
    as_of: datetime
    known_until: datetime


@dataclass(frozen=True, slots=True, eq=False)
class _Beside:
    """Trades before the days, after them, and the newest of all, each sorted by number."""

    before: Columns
    after: Columns
    newest: Newest

    @property
    def first(self) -> int | None:
        return int(self.before["trade_seq"][-1]) if count_of(self.before) else None

    @property
    def last(self) -> int | None:
        return int(self.after["trade_seq"][0]) if count_of(self.after) else None

    @property
    def most(self) -> int:
        """The highest number of all."""
        return max(filter(None, (self.newest.number, self.first, self.last)), default=0)

    @property
    def contradiction(self) -> str | None:
        """Where times decrease with increasing numbers; None if they do not."""
        rows = unique_rows(joined_rows([self.before, self.after, self.newest.rows]))
        numbers, times = rows["trade_seq"], rows["traded_at"]
        late = out_of_order(numbers, times)
        if len(late):
            former = np.argmax(times[: late[0]])
            return (
                f"trade numbers run against time: {numbers[former]} is of {times[former]}Z, and "
                f"{numbers[late[0]]} of {times[late[0]]}Z"
            )
        return None


async def planned(
    hosts: TradeHosts,
    instrument: Instrument,
    days: Sequence[date],
    held: HeldTrades | None = None,
) -> Span:
    """The range of numbers that contains the trades of the days, with some before and after them.

    Trades are not requested where `held` ones do as well; if these contradict each other, the days
    are planned as if nothing were held. Raises DeribitBadPayload if trades around the days have
    numbers that cannot be consecutive, or are returned once and not again.
    """
    start, end = day_window(days[0]).start, day_window(days[-1]).end
    for left in reversed(range(_ROUNDS)):
        beside = await _beside(hosts, instrument, start, end, held)
        reason = beside.contradiction
        if reason is None and _is_much(hosts, beside):
            beside, reason = await _confirmed(hosts, beside, start, end, held)
        if reason is None:
            break
        if not left:
            raise hosts.unproved(reason)
        held = None
    newest, known_until = beside.newest, end
    if beside.last is None:
        newest, known_until = await _ending(hosts, instrument, days, newest)
        beside = _Beside(beside.before, beside.after, newest)
    last, first = beside.most, 1
    if beside.first is not None:
        first = max(beside.first - 2 * MARGIN, 1)
    elif last and not (held is not None and held.numbers[0] <= hosts.per_chunk):
        rows = await hosts.first_from(start, newest.as_of)
        if count_of(rows) and rows["trade_seq"][0] > hosts.per_chunk:
            raise hosts.unproved(f"no trade before the number {rows['trade_seq'][0]} was returned")
    stop = last + 1 if beside.last is None else min(beside.last + 2 * MARGIN, last) + 1
    known_until = min(known_until, newest.as_of - LATE)
    return Span(days, range(first, stop), last, newest.as_of, known_until)


async def _beside(
    hosts: TradeHosts,
    instrument: Instrument,
    start: datetime,
    end: datetime,
    held: HeldTrades | None,
) -> _Beside:
    before = after = NO_TRADES
    newest = await hosts.newest() if held is None else await _newest_beyond(hosts, held, end)
    if start > instrument.listed_at:
        if held is not None:
            most = hosts.per_chunk
            before = await to_thread(held.before, start, HINTS, newest.number or 0, most)
        if not count_of(before):
            before = await hosts.last_before(start, instrument.listed_at, newest.as_of)
    if end <= newest.as_of:
        if held is not None:
            after = await to_thread(held.after, end, HINTS, hosts.per_chunk)
        if not count_of(after):
            after = await hosts.first_from(end, newest.as_of)
    return _Beside(before, after, newest)


async def _newest_beyond(hosts: TradeHosts, held: HeldTrades, end: datetime) -> Newest:
    """The newest trade; the newest held one if enough of them are from after the days.

    Its number may be wrong, and then all before it would be missing: the exchange must have the
    number before it, unless that is held too."""
    rows = await to_thread(held.newest, HINTS)
    number = int(rows["trade_seq"][-1])
    is_next = number == 1 or held.count(range(number - 1, number)) == 1
    if not is_next and not await hosts.has(number - 1, 1):
        return await hosts.newest()
    newest = Newest(number, from_moment64(rows["traded_at"].max()), hosts.now, rows)
    if np.count_nonzero(held.times >= moment64(end)) >= MARGIN:
        return newest
    return await hosts.beyond(newest)


def _is_held(held: HeldTrades | None, number: int | None) -> bool:
    """Whether a trade is held and its number cannot be wrong, because it has a held neighbour."""
    if held is None or number is None or not held.count(range(number, number + 1)):
        return False
    return held.count(range(number - MARGIN, number + MARGIN + 1)) > 1


def _is_much(hosts: TradeHosts, beside: _Beside) -> bool:
    stop = beside.most if beside.last is None else beside.last
    return stop - (beside.first or 0) > _MUCH * hosts.per_chunk


async def _confirmed(
    hosts: TradeHosts,
    beside: _Beside,
    start: datetime,
    end: datetime,
    held: HeldTrades | None,
) -> tuple[_Beside, str | None]:
    """The trades around the days, confirmed by requests for windows that begin and end with these
    trades, in which none may be closer to the days. And the first contradiction, if any. Held
    trades need no confirmation."""
    before, after, now = beside.before, beside.after, beside.newest.as_of
    if count_of(before) and not _is_held(held, beside.first):
        since = from_moment64(before["traded_at"].min())
        again = await hosts.last_before(start, since, now, 2 * HINTS)
        if beside.first not in again["trade_seq"]:
            return beside, f"trade {beside.first} before {start} was returned once and not again"
        before = unique_rows(joined_rows([again, before]))
    if count_of(after) and not _is_held(held, beside.last):
        until = from_moment64(after["traded_at"].max()) + _MILLISECOND
        again = await hosts.first_from(end, now, until, 2 * HINTS)
        if beside.last not in again["trade_seq"]:
            return beside, f"trade {beside.last} after {end} was returned once and not again"
        after = unique_rows(joined_rows([again, after]))
    number = beside.newest.number
    is_trusted = count_of(after) or _is_held(held, number)
    if number is not None and not is_trusted and not await hosts.has(number):
        return beside, f"trade {number} was returned as the newest, but not by its number"
    found = _Beside(before, after, beside.newest)
    return found, found.contradiction


async def _ending(
    hosts: TradeHosts, instrument: Instrument, days: Sequence[date], newest: Newest
) -> tuple[Newest, datetime]:
    """The newest trade if none is returned after the days, and the instant before which none can
    appear.

    Days that are over may have no later trade. The proof that nothing follows is an empty response,
    which must be confirmed by a second one from hosts that are sufficiently up to date.
    """
    over = [day for day in days if day_window(day).end <= newest.as_of - LATE]
    if not over or day_window(over[-1]).end <= newest.known_until:
        return newest, newest.known_until
    start, end = day_window(days[0]).start, day_window(over[-1]).end
    newest = await hosts.last(newest, end)
    if await hosts.knows_all(start, min(end, instrument.expires_at or end)):
        return newest, end
    if not hosts.has_archive:
        raise hosts.unproved("trades from before yesterday are not available here")
    return newest, newest.known_until
