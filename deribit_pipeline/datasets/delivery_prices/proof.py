"""Pages of delivery prices joined into one list, and the list split into days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np

from deribit_pipeline.domain.malformed import Malformed
from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.domain.rows import Columns, count_of, differences, some_of
from deribit_pipeline.domain.windows import from_ms, moment64
from deribit_pipeline.engine.settling import SETTLING, is_settled

# Instruments expire at 08:00 UTC.
_DELIVERY = timedelta(hours=8)

# No index has delivery prices before this: one price a day since then is the maximum.
_FIRST = date(2010, 1, 1)


@dataclass(frozen=True, slots=True, eq=False)
class DeliveryPrices:
    """Every delivery price since the oldest one returned, sorted by day; `total` is the exchange's
    count. Rows in `malformed` cannot be parsed."""

    rows: Columns
    total: int
    as_of: datetime
    malformed: tuple[Malformed, ...] = ()

    def since(self, day: date) -> Columns:
        """The prices of a day and of all later ones."""
        return some_of(self.rows, self.rows["delivery_date"] >= np.datetime64(day))


def require_page(
    rows: Columns, *, entries: int, repeated: int, offset: int, count: int, total: int
) -> None:
    """Raises ValueError for a page that violates an expectation: more or fewer prices than follow
    the offset (assumption:prices-total), or not one for each day and newest first
    (assumption:prices-order). Some of the `entries` may be repeated days, which the total may or
    may not count."""
    days = rows["delivery_date"]
    due = max(0, min(count, total - offset))
    if not entries - repeated <= due <= entries:
        raise ValueError(f"{entries} delivery prices were returned, and {due} of {total} were due")
    if np.any(np.diff(days) >= np.timedelta64(0)):
        raise ValueError("delivery prices were repeated, or are not sorted newest first")


def following(former: Columns, rows: Columns, malformed: Sequence[Malformed]) -> Columns:
    """What a page adds to the previous one, whose last price it repeats. Raises ValueError if it
    begins otherwise, as happens when a new price shifts the offsets. Only a malformed price may lie
    between them."""
    newest, oldest = rows["delivery_date"][:1], former["delivery_date"][-1:]
    is_between = any(
        each.last > moment.astype("datetime64[ms]").astype(np.int64)
        for each in malformed
        for moment in newest
    )
    if is_between and np.all(newest < oldest):
        return rows
    if differences(some_of(former, slice(-1, None)), some_of(rows, slice(0, 1))).any():
        raise ValueError("a page does not begin with the last price of the one before it")
    return some_of(rows, slice(1, None))


def require_total(total: int, newest_first: Columns, as_of: datetime) -> None:
    """Raises ValueError for a total of more delivery prices than days have passed, or a price from
    the future: either would make paging by offset endless."""
    most = (as_of.date() - _FIRST).days + 1
    if total > most:
        raise ValueError(
            f"records_total is {total}, and at most one price a day since {_FIRST} can exist, "
            f"which is {most}"
        )
    days = newest_first["delivery_date"]
    if len(days) and days[0] > np.datetime64(as_of.date()):
        raise ValueError(f"a delivery price of {days[0]} was returned, and it was {as_of}")


def prices_of(
    newest_first: Columns, total: int, as_of: datetime, malformed: Sequence[Malformed]
) -> DeliveryPrices:
    """The prices of joined pages. A price returned before 08:00 has settled may still change."""
    days = newest_first["delivery_date"]
    delivered_at = days.astype("datetime64[ms]") + np.timedelta64(_DELIVERY + SETTLING, "ms")
    delivered = some_of(newest_first, np.less_equal(delivered_at, moment64(as_of)))
    due = [each for each in malformed if from_ms(each.first) + _DELIVERY + SETTLING <= as_of]
    rows = some_of(delivered, slice(None, None, -1))
    return DeliveryPrices(rows, total, as_of, tuple(due))


def are_alike(one: DeliveryPrices, other: DeliveryPrices, since: date) -> bool:
    """Whether two responses agree on the days from `since` on."""
    ours, theirs = one.since(since), other.since(since)
    return count_of(ours) == count_of(theirs) and not differences(ours, theirs).any()


def price_of_day(prices: DeliveryPrices, series: str, day: date) -> FetchedDay:
    """A day of an index, which has one price per day since the oldest that the exchange has.

    The running day's price is expected, but counts as missing only when the day is over: it may be
    the first of the index.
    """
    days = prices.rows["delivery_date"]
    this = np.array([day], "datetime64[D]")
    row = some_of(prices.rows, days == this)
    is_past = is_settled(day, prices.as_of)
    is_listed = not is_past or bool((days <= this).any())
    return FetchedDay(
        series,
        day,
        row,
        prices.as_of,
        expected=this if is_listed else this[:0],
        unclosed=this[:0] if is_past else this,
        is_over=is_past or count_of(row) > 0,
        is_listed=is_listed,
        is_confirmed=True,
    )
