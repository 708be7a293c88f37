"""From pages of settlements to time spans in which every settlement is known.

Hundreds of settlements share a millisecond, and a page may end between two of them. Where the page
after a continuation token then begins is undocumented (assumption:settlements-token), and so is
whether bounds are inclusive. So the rows of a page's oldest millisecond are not trusted until the
next page confirms them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np

from deribit_pipeline.datasets.settlements import SETTLEMENTS
from deribit_pipeline.domain.malformed import Malformed
from deribit_pipeline.domain.rows import Columns, Keys, count_of, differences, keys_of, some_of
from deribit_pipeline.domain.specification import settlement_currency
from deribit_pipeline.domain.windows import day_window, moment64
from deribit_pipeline.engine.following import in_order

Moment = np.datetime64

MOST_A_SECOND = 20_000 / 86_400
"""Maximum average rate of settlements of a currency: every instrument settles once a day, and a
currency has some thousand instruments."""


@dataclass(frozen=True, slots=True, eq=False)
class CompleteSpan:
    """Every settlement after `complete_after`, up to the requested instant; `complete_after` is
    None if the span reaches back to the first settlement.

    `boundary_rows` are settlements at `complete_after` itself, which may be incomplete: only older
    rows prove that there are no more. Rows in `malformed` cannot be parsed.
    """

    rows: Columns
    complete_after: Moment | None
    boundary_rows: Columns
    malformed: tuple[Malformed, ...] = ()

    def has_seen(self, day: date) -> bool:
        """Whether the day is complete: no more of its settlements can appear on older pages."""
        return self.complete_after is None or bool(
            self.complete_after < moment64(day_window(day).start)
        )

    def covers(self, until: Moment) -> np.timedelta64:
        """The duration from `complete_after` to an instant; the maximum if that is None."""
        return until - (
            np.datetime64(0, "ms") if self.complete_after is None else self.complete_after
        )

    def within(self, rows: Columns) -> Columns:
        """The rows after `complete_after`."""
        return (
            rows
            if self.complete_after is None
            else some_of(rows, rows["settled_at"] > self.complete_after)
        )


def complete_span(
    rows: Columns, malformed: Sequence[Malformed] = (), *, is_end: bool
) -> CompleteSpan:
    """The span that consecutive pages prove, down to their oldest rows."""
    if is_end:
        return CompleteSpan(rows, None, some_of(rows, slice(0, 0)), tuple(malformed))
    moments = rows["settled_at"]
    oldest = moments.min()
    return CompleteSpan(
        some_of(rows, moments > oldest),
        oldest,
        some_of(rows, moments == oldest),
        tuple(each for each in malformed if each.last >= oldest.astype(np.int64)),
    )


def up_to(rows: Columns, until: Moment) -> Columns:
    """The settlements at or before an instant."""
    return some_of(rows, rows["settled_at"] <= until)


def has_a_whole_millisecond(rows: Columns) -> bool:
    """Whether older settlements prove that the newest millisecond is complete."""
    moments = rows["settled_at"]
    return count_of(rows) > 0 and bool(moments.min() < moments.max())


def require_sound(
    rows: Columns, currency: str, *, entries: int, count: int, latest: Moment | None
) -> None:
    """Raises ValueError for a page that violates an expectation: more entries than requested,
    entries after the requested instant, not newest first (assumption:settlements-order), or of
    another currency."""
    moments = rows["settled_at"]
    if entries > count:
        raise ValueError(f"{entries} settlements were returned, and {count} were requested")
    if latest is not None and len(moments) and moments[0] > latest:
        raise ValueError(f"a settlement of {moments[0]} was returned, after the bound {latest}")
    if np.any(np.diff(moments) > np.timedelta64(0)):
        raise ValueError("settlements are not sorted newest first")
    for name in rows["instrument_name"]:
        is_of_none = name.startswith("#")  # a bankruptcy, which has no instrument
        if not is_of_none and settlement_currency(name) != currency:
            raise ValueError(f"a settlement of {name} was returned, not settled in {currency}")


def first_settlement(listed_at: datetime) -> datetime:
    """When an instrument settles for the first time: at 08:00 UTC."""
    at_eight = day_window(listed_at.date()).start + timedelta(hours=8)
    return at_eight if listed_at < at_eight else at_eight + timedelta(days=1)


def require_confirmed(rows: Columns, by: Columns) -> None:
    """Raises ValueError unless each of the rows has an equal one in `by`."""
    required, returned = in_order(SETTLEMENTS, rows), in_order(SETTLEMENTS, _among(by, rows))
    if count_of(returned) < count_of(required) or differences(required, returned).any():
        raise ValueError("responses contradict each other about settlements that both have")


def require_alike(one: CompleteSpan, other: CompleteSpan) -> None:
    """Raises ValueError unless two spans up to the same instant agree, as far back as both
    reach."""
    bounds = [span.complete_after for span in (one, other) if span.complete_after is not None]
    since = max(bounds, default=np.datetime64(-1, "ms"))
    ours, theirs = (some_of(span.rows, span.rows["settled_at"] > since) for span in (one, other))
    require_confirmed(ours, theirs)
    require_confirmed(theirs, ours)


def shorter(one: CompleteSpan, other: CompleteSpan) -> CompleteSpan:
    """The span that reaches less far back, confirmed by the other. Rows that are malformed in
    either are malformed."""
    if one.complete_after is None or (
        other.complete_after is not None and other.complete_after > one.complete_after
    ):
        one, other = other, one
    return replace(one, malformed=(*one.malformed, *other.malformed))


def _among(rows: Columns, others: Columns) -> Columns:
    """The rows that are among the others."""
    return some_of(rows, np.isin(_keys(rows), _keys(others)))


def _keys(rows: Columns) -> Keys:
    return keys_of(SETTLEMENTS, rows)
