"""What the spool holds of a day: the first complete snapshot of each slot, or why it has none.

Pure but for reading files. A slot is a span of the recording interval, aligned to midnight UTC.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import orjson

from deribit_pipeline.datasets.book_summaries import BOOK_SUMMARIES
from deribit_pipeline.datasets.book_summaries.proof import (
    Listing,
    around,
    kinds_of,
    listing,
    wrong_with,
)
from deribit_pipeline.datasets.book_summaries.wire import BY_CURRENCY, Snapshot, snapshot
from deribit_pipeline.domain.rows import Keys, Pieces, Rows, gaps_of
from deribit_pipeline.domain.windows import day_window, to_ms
from deribit_pipeline.instruments.wire import INSTRUMENTS
from deribit_pipeline.spool.spool_entries import FAILURE, RESPONSE, Entry

NOT_RECORDED, INCOMPLETE, REFUSED = "not recorded", "incomplete", "refused"
"""Why a slot has no complete snapshot: nothing was requested in it, all responses were incomplete,
or the exchange did not respond."""


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """A recorded snapshot, requested for the slot that begins at `slot_ms`; it had arrived at
    `received_ms`, by the exchange's clock."""

    slot_ms: int
    every_ms: int
    received_ms: int
    snapshot: Snapshot

    @property
    def is_in_slot(self) -> bool:
        """Whether it describes an instant within its slot."""
        return self.slot_ms <= self.snapshot.at_ms < self.slot_ms + self.every_ms


@dataclass(slots=True)
class Recording:
    """What was recorded of a currency's day. `every_ms` is the recording interval that was used
    last; 0 if nothing was recorded. `reasons` are those of slots without a usable response."""

    currency: str
    attempts: list[Attempt] = field(default_factory=list)
    listings: list[Listing] = field(default_factory=list)
    reasons: dict[int, str] = field(default_factory=dict)
    every_ms: int = 0

    def add(self, entry: Entry) -> None:
        """Take in one entry of the spool, in the order of recording."""
        facts = entry.facts
        if "slot_ms" in facts:
            self.every_ms = facts["every_ms"]
        if entry.event == FAILURE and "slot_ms" in facts:
            self.reasons.setdefault(facts["slot_ms"], REFUSED)
        if entry.event != RESPONSE or entry.as_of is None:
            return
        result = orjson.loads(entry.body)["result"]
        if facts["method"] == INSTRUMENTS:
            self._add_listing(to_ms(entry.as_of), result)
        elif facts["method"] == BY_CURRENCY:
            self._add_snapshot(facts, result)

    def _add_listing(self, as_of_ms: int, result: object) -> None:
        try:
            found = listing(as_of_ms, self.currency, result)
        except ValueError:
            return  # it proves nothing: another one follows
        self.listings.append(found)

    def _add_snapshot(self, facts: Mapping[str, Any], result: object) -> None:
        try:
            found = snapshot(result)
        except ValueError:
            self.reasons[facts["slot_ms"]] = INCOMPLETE
            return
        found.names[:] = [sys.intern(name) for name in found.names]
        slot_ms, received_ms = facts["slot_ms"], facts["received_us"] // 1_000
        self.attempts.append(Attempt(slot_ms, facts["every_ms"], received_ms, found))

    def complete(self) -> list[tuple[Attempt, Sequence[Listing]]]:
        """The first complete snapshot of each slot, in order, each with the listings that prove
        it."""
        found: dict[int, tuple[Attempt, Sequence[Listing]]] = {}
        for attempt in self.attempts:
            if attempt.slot_ms in found:
                continue
            by = around(self.listings, attempt.snapshot.at_ms)
            if attempt.is_in_slot and wrong_with(attempt.snapshot, self.currency, by) is None:
                found[attempt.slot_ms] = attempt, by
            else:
                self.reasons[attempt.slot_ms] = INCOMPLETE
        return [found[slot] for slot in sorted(found)]

    def unproved_ms(self) -> list[int]:
        """The slots of snapshots that no listing follows yet."""
        newest = max((each.as_of_ms for each in self.listings), default=0)
        return sorted({each.slot_ms for each in self.attempts if each.snapshot.at_ms >= newest})


def recorded(currency: str, entries: Iterable[Entry]) -> Recording:
    """What these entries hold of a currency."""
    recording = Recording(currency)
    for entry in entries:
        recording.add(entry)
    return recording


def rows_of(complete: Sequence[tuple[Attempt, Sequence[Listing]]]) -> Rows:
    """The rows of complete snapshots, by the columns of the table, sorted by instant and name. They
    are moved out of the snapshots: a day takes too much memory to be there twice."""
    names = [column.name for column in BOOK_SUMMARIES.table.columns if column.name != "currency"]
    rows = Pieces()
    rows.append({name: _EMPTY[name] for name in names})
    for attempt, listings in complete:
        found, count = attempt.snapshot, len(attempt.snapshot.names)
        kinds = np.empty(count, object)
        kinds[:] = kinds_of(found, listings)
        received = np.full(count, np.datetime64(attempt.received_ms, "ms"))
        found.rows.update(kind=kinds, received_at=received)
        rows.append({name: found.rows.pop(name) for name in names})
    return rows.rows()


def slots_of(day: date, every_ms: int) -> Keys:
    """The beginnings of a day's slots."""
    start = to_ms(day_window(day).start)
    return np.arange(start, start + 86_400_000, every_ms).astype("datetime64[ms]")


def without_snapshot(slots: Keys, snapshots: Keys, every_ms: int) -> Keys:
    """The slots in which no snapshot lies; both sorted."""
    first = np.searchsorted(snapshots, slots)
    next_slot = slots + np.timedelta64(every_ms, "ms")
    missing: Keys = slots[first == np.searchsorted(snapshots, next_slot)]
    return missing


def verdict_of(slots: Keys, missing: Keys, reasons: dict[int, str]) -> str:
    """Why slots are missing, as text: each reason with the slots that it concerns."""
    by_reason: dict[str, list[np.datetime64]] = {}
    for slot in missing:
        reason = reasons.get(int(slot.astype(np.int64)), NOT_RECORDED)
        by_reason.setdefault(reason, []).append(slot)
    parts = []
    for reason in (NOT_RECORDED, INCOMPLETE, REFUSED):
        if some := by_reason.get(reason):
            gaps = gaps_of(slots, np.array(some))
            more = f" and {len(gaps) - 2} more spans" if len(gaps) > 2 else ""
            parts.append(
                f"{len(some)} slot{'s' * (len(some) > 1)} {reason}: "
                f"{', '.join(gap.gap for gap in gaps[:2])}{more}"
            )
    return "; ".join(parts)


def _empty(kind: str) -> Keys:
    if kind == "timestamptz":
        return np.empty(0, "datetime64[ms]")
    return np.empty(0, np.float64 if kind == "double" else object)


_EMPTY = {column.name: _empty(column.type) for column in BOOK_SUMMARIES.table.columns}
