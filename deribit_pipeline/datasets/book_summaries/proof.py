"""What makes a snapshot complete: its names are exactly the instruments listed at its instant
(assumption:summaries-names).

Pure. The recorder uses it to request a snapshot again in time, and the proof of a day to decide
which snapshots are stored.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from deribit_pipeline.datasets.book_summaries.wire import Lifetime, Snapshot, lifetimes
from deribit_pipeline.domain.first_names import first_names
from deribit_pipeline.domain.specification import COMBO, settlement_currency

RENEWAL = timedelta(seconds=2)
"""The exchange renews its summaries about this often: an instrument that is created or expires
within this time of a snapshot may be in it or not (assumption:summaries-renewed)."""

_RENEWAL_MS = RENEWAL // timedelta(milliseconds=1)

# The kinds that must all be in a snapshot. Combos are created and removed at any time.
_COUNTED_KINDS = frozenset({"future", "option", "spot"})

_COMBO_NAME = re.compile(COMBO)

# How many instruments a reason names; the rest are counted.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Listing:
    """The instruments of a currency that the exchange listed at `as_of_ms`."""

    as_of_ms: int
    lifetimes: Mapping[str, Lifetime] = field(repr=False)


def listing(as_of_ms: int, currency: str, answer: object) -> Listing:
    """The listing in a response of `public/get_instruments`. Raises ValueError if it is malformed,
    or contains an instrument of another currency, or none at all."""
    found = lifetimes(answer)
    if foreign := sorted(name for name in found if not _is_of(currency, name)):
        raise ValueError(
            f"it contains instruments of another currency ({first_names(foreign, _NAMED)})"
        )
    if not found:
        raise ValueError("it contains no instrument")
    return Listing(as_of_ms, found)


def around(listings: Sequence[Listing], at_ms: int) -> list[Listing]:
    """The last listing from before an instant and the first one from after it, as far as there are
    such. An earlier one still has what expires in between, a later one has what is created."""
    before = [each for each in listings if each.as_of_ms <= at_ms]
    after = [each for each in listings if each.as_of_ms > at_ms]
    return [
        *([max(before, key=lambda each: each.as_of_ms)] if before else []),
        *([min(after, key=lambda each: each.as_of_ms)] if after else []),
    ]


def wrong_with(snapshot: Snapshot, currency: str, listings: Sequence[Listing]) -> str | None:
    """Why a snapshot of a currency is not complete, given the listings around its instant; None if
    it is complete."""
    names = set(snapshot.names.tolist())
    if foreign := sorted(name for name in names if not _is_of(currency, name)):
        return f"it contains instruments of another currency ({first_names(foreign, _NAMED)})"
    if not listings:
        return "no listing is known"
    must, may = _required(listings, snapshot.at_ms)
    if missing := sorted(must - names):
        return f"listed instruments are missing ({first_names(missing, _NAMED)})"
    if unknown := sorted(name for name in names - may if not _COMBO_NAME.match(name)):
        return f"it contains instruments that are not listed ({first_names(unknown, _NAMED)})"
    return None


def kinds_of(snapshot: Snapshot, listings: Sequence[Listing]) -> list[str]:
    """The kind of each instrument of a complete snapshot; that of a combo which no listing has
    follows from its name."""
    known = {name: each.kind for one in listings for name, each in one.lifetimes.items()}
    return [known.get(name) or _kind_of_combo(name) for name in snapshot.names.tolist()]


def _required(listings: Sequence[Listing], at_ms: int) -> tuple[set[str], set[str]]:
    """The instruments that a snapshot must contain, and those that it may contain."""
    must: set[str] = set()
    may: set[str] = set()
    for one in listings:
        for name, life in one.lifetimes.items():
            ends = life.expires_ms
            if life.listed_ms <= at_ms + _RENEWAL_MS and (
                ends is None or ends >= at_ms - _RENEWAL_MS
            ):
                may.add(name)
                is_certain = life.listed_ms < at_ms - _RENEWAL_MS and (
                    ends is None or ends > at_ms + _RENEWAL_MS
                )
                if is_certain and life.kind in _COUNTED_KINDS:
                    must.add(name)
    return must, may


def _is_of(currency: str, name: str) -> bool:
    """Whether the listing of a currency may have an instrument of that name: one that settles in
    it, or a spot pair with it."""
    if "-" in name:
        return settlement_currency(name) == currency
    return currency in name.split("_")


def _kind_of_combo(name: str) -> str:
    return "future_combo" if name.split("-")[1] == "FS" else "option_combo"
