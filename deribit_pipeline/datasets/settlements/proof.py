"""Pages of settlements to stretches of time of which every settlement is told.

Hundreds of settlements share a millisecond, and a page may end between two of them. Where a page
then goes on that is asked for by its token is not known (assumption:settlements-token), nor whether
a bound is inclusive. So of a page's oldest millisecond nothing is believed: what it told of it, the
next page must tell too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np

from deribit_pipeline.datasets.settlements import SETTLEMENTS
from deribit_pipeline.domain.malformed import Malformed
from deribit_pipeline.domain.rows import Columns, Keys, count_of, differences, keys_of, some_of
from deribit_pipeline.domain.windows import day_window, moment64
from deribit_pipeline.engine.following import in_order

Moment = np.datetime64

MOST_A_SECOND = 20_000 / 86_400
"""How many settlements of a currency there can be over time: every instrument settles once a day,
and a currency has some thousand."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Every settlement after `floor`, up to the moment that was asked for; None: since ever.

    `brink` are settlements at the floor, of which there may be more: only older ones prove that
    there are not. Those of `malformed` cannot be read.
    """

    rows: Columns
    floor: Moment | None
    brink: Columns
    malformed: tuple[Malformed, ...] = ()

    def has_seen(self, day: date) -> bool:
        """Whether no more settlements can come of the day."""
        return self.floor is None or bool(self.floor < moment64(day_window(day).start))

    def covers(self, until: Moment) -> np.timedelta64:
        """How long before a moment it begins; since ever is as long as can be."""
        return until - (np.datetime64(0, "ms") if self.floor is None else self.floor)

    def within(self, rows: Columns) -> Columns:
        """Those of the rows that are after the floor."""
        return rows if self.floor is None else some_of(rows, rows["settled_at"] > self.floor)


def stretch_of(rows: Columns, malformed: Sequence[Malformed] = (), *, is_end: bool) -> Stretch:
    """What pages prove that follow one another down to these rows' oldest."""
    if is_end:
        return Stretch(rows, None, some_of(rows, slice(0, 0)), tuple(malformed))
    moments = rows["settled_at"]
    floor = moments.min()
    return Stretch(
        some_of(rows, moments > floor),
        floor,
        some_of(rows, moments == floor),
        tuple(each for each in malformed if each.last >= floor.astype(np.int64)),
    )


def up_to(rows: Columns, until: Moment) -> Columns:
    """The settlements that are not later than a moment."""
    return some_of(rows, rows["settled_at"] <= until)


def has_a_whole_millisecond(rows: Columns) -> bool:
    """Whether older settlements show that all of the newest millisecond are there."""
    moments = rows["settled_at"]
    return count_of(rows) > 0 and bool(moments.min() < moments.max())


def require_sound(
    rows: Columns, currency: str, *, entries: int, count: int, latest: Moment | None
) -> None:
    """Raises ValueError for a page that breaks an expectation: more entries than asked for, later
    ones than asked for, not the newest first (assumption:settlements-order), or of another
    currency."""
    moments = rows["settled_at"]
    if entries > count:
        raise ValueError(f"{entries} settlements came of {count} asked for")
    if latest is not None and len(moments) and moments[0] > latest:
        raise ValueError(f"a settlement of {moments[0]} came, asked for were those up to {latest}")
    if np.any(np.diff(moments) > np.timedelta64(0)):
        raise ValueError("settlements did not come the newest first")
    for name in rows["instrument_name"]:
        is_of_none = name.startswith("#")  # as a bankruptcy is, which has a mark for a name
        if not is_of_none and settlement_currency(name) != currency:
            raise ValueError(f"a settlement of {name} came, which does not settle in {currency}")


def settlement_currency(instrument_name: str) -> str:
    """What an instrument settles in, by its name: BTC of `BTC-25SEP26`, USDC of
    `XRP_USDC-30JUN23-0d625-C`."""
    return instrument_name.split("-")[0].split("_")[-1]


def first_settlement(listed_at: datetime) -> datetime:
    """When an instrument settles for the first time: at 08:00 UTC."""
    at_eight = day_window(listed_at.date()).start + timedelta(hours=8)
    return at_eight if listed_at < at_eight else at_eight + timedelta(days=1)


def require_told(rows: Columns, by: Columns) -> None:
    """Raises ValueError unless each of the rows is among others that say the same."""
    wanted, told = in_order(SETTLEMENTS, rows), in_order(SETTLEMENTS, _among(by, rows))
    if count_of(told) < count_of(wanted) or differences(wanted, told).any():
        raise ValueError("answers contradict each other about settlements that both tell")


def require_alike(one: Stretch, other: Stretch) -> None:
    """Raises ValueError unless two stretches up to the same moment tell the same, as far back as
    both reach."""
    floors = [stretch.floor for stretch in (one, other) if stretch.floor is not None]
    since = max(floors, default=np.datetime64(-1, "ms"))
    ours, theirs = (
        some_of(stretch.rows, stretch.rows["settled_at"] > since) for stretch in (one, other)
    )
    require_told(ours, theirs)
    require_told(theirs, ours)


def shorter(one: Stretch, other: Stretch) -> Stretch:
    """The one that reaches less far back: both have told all of it. What cannot be read in either
    is malformed."""
    if one.floor is None or (other.floor is not None and other.floor > one.floor):
        one, other = other, one
    return replace(one, malformed=(*one.malformed, *other.malformed))


def _among(rows: Columns, others: Columns) -> Columns:
    """Those of the rows that are among the others."""
    return some_of(rows, np.isin(_keys(rows), _keys(others)))


def _keys(rows: Columns) -> Keys:
    return keys_of(SETTLEMENTS, rows)
