"""Pages to days, and days to proofs."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np

from deribit_pipeline.datasets.candles.grid import grid_of
from deribit_pipeline.datasets.candles.pages import Page, in_common, joined
from deribit_pipeline.datasets.candles.requests import wanted
from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.proofs import CrossCheck, DayProof, DayState, ProvedDay
from deribit_pipeline.domain.verdicts import verdict_of, with_standing_verdict
from deribit_pipeline.domain.windows import Moments, TimeWindow, moment64, without
from deribit_pipeline.errors import DeribitBadPayload


@dataclass(frozen=True, slots=True, eq=False)
class FetchedDay:
    """All that the exchange said of the candles that open on one day of an instrument.

    `expected` is counted on the grid while the instrument is listed, from nothing that came.
    `is_confirmed` tells that the exchange was asked twice and said the same. `verdict` and
    `cross_check` are kept in the day's proof.
    """

    instrument_name: str
    resolution: Resolution
    day: date
    expected: Moments
    unclosed: Moments
    candles: Candles
    as_of: datetime
    is_confirmed: bool = False
    verdict: str = ""
    cross_check: CrossCheck = CrossCheck.NONE

    @property
    def series(self) -> str:
        """What the day is of."""
        return self.instrument_name


class Assembly:
    """Cuts an instrument's pages by UTC day; a day comes out when all that it needs is in.

    Pages may come in any order, and may cover days that nobody wants.
    """

    def __init__(
        self, instrument: Instrument, resolution: Resolution, days: Iterable[date]
    ) -> None:
        self._instrument_name = instrument.instrument_name
        self._resolution = resolution
        self._parts: dict[date, list[Page]] = {}
        self._lacks: dict[date, timedelta] = {}
        self._windows: dict[date, TimeWindow] = {}
        self.unlisted: list[date] = []
        for day in sorted(set(days)):
            window = wanted(instrument, resolution, day)
            if window is None:
                self.unlisted.append(day)
            else:
                self._windows[day], self._lacks[day] = window, window.duration

    def add(self, page: Page) -> Iterator[FetchedDay]:
        """Take a page in; yields the days that it completes."""
        for day in self.days_in(page.window):
            shared = page.window.intersection(self._windows[day])
            assert shared is not None
            self._parts.setdefault(day, []).append(page.part(shared))
            self._lacks[day] -= shared.duration
            if not self._lacks[day]:
                yield self._out(day)

    def days_in(self, window: TimeWindow) -> list[date]:
        """The days still awaited that need something of `window`."""
        # A candle that opens on a day may reach into the next, never further.
        first, last = window.start.date() - timedelta(days=1), window.end.date()
        span = (first + timedelta(days=n) for n in range((last - first).days + 1))
        return [
            day for day in span if day in self._windows and self._windows[day].intersection(window)
        ]

    def _out(self, day: date) -> FetchedDay:
        del self._windows[day], self._lacks[day]
        page = joined(sorted(self._parts.pop(day), key=lambda part: part.window))
        return fetched_day(self._instrument_name, self._resolution, day, page)


def fetched_day(instrument_name: str, resolution: Resolution, day: date, page: Page) -> FetchedDay:
    """The day whose candles are those of the page."""
    return FetchedDay(
        instrument_name, resolution, day, page.expected, page.unclosed, page.candles, page.as_of,
        verdict=verdict_of([remark.what for remark in page.remarks]),
        cross_check=_cross_check(page),
    )  # fmt: skip


def _cross_check(page: Page) -> CrossCheck:
    if any(remark.is_disagreement for remark in page.remarks):
        return CrossCheck.DISAGREES
    is_whole = 0 < len(page.candles) == len(page.agreeing)
    return CrossCheck.AGREES if is_whole else CrossCheck.NONE


def unlisted_day(
    instrument_name: str, resolution: Resolution, day: date, as_of: datetime
) -> FetchedDay:
    """A day on which the instrument did not trade: nothing is expected, and nothing asked."""
    nothing = Candles.none()
    return FetchedDay(
        instrument_name, resolution, day, nothing.opened_at, nothing.opened_at, nothing, as_of
    )


def prove(
    fetched: FetchedDay, held: Candles | None = None, former: DayProof | None = None
) -> ProvedDay:
    """Settle a day: what was fetched, joined with the candles already `held` of it.

    An absent candle is no statement about one that is held, so it never removes it. Where the
    exchange says something else about a held candle, the newer answer stands, and the held values
    are in `replaced`. `former` is the day's proof so far: its verdict and cross-check stand where
    the response is older, or has the same candles and was not compared. Raises DeribitBadPayload
    where candles are held that, as the instrument is listed now, should not exist.
    """
    held = held if held is not None else Candles.none()
    is_older = former is not None and fetched.as_of < former.fetched_at
    if is_older:  # another process was faster: what it wrote is newer than this answer
        candles, replaced = fetched.candles.union(held), Candles.none()
    else:
        candles, replaced = held.union(fetched.candles), _changed(held, fetched.candles)
    if len(without(candles.opened_at, fetched.expected)):
        raise DeribitBadPayload(
            "candles are held of a time at which the instrument is not listed: has its listing "
            "changed?",
            method="candles",
            params={"instrument_name": fetched.instrument_name, "day": fetched.day},
        )
    absent = without(fetched.expected, candles.opened_at)
    missing = without(absent, fetched.unclosed)
    if is_older and former is not None:  # what is over by now was not over for this answer
        ends = absent + np.timedelta64(fetched.resolution.duration, "ms")
        missing = absent[ends.astype("datetime64[us]") <= moment64(former.fetched_at, "us")]
    proof = DayProof(
        instrument_name=fetched.instrument_name,
        resolution=fetched.resolution,
        day=fetched.day,
        state=_state(len(fetched.expected), len(missing), len(absent) - len(missing)),
        expected=len(fetched.expected),
        received=len(candles),
        missing=len(missing),
        without_trades=candles.without_trades,
        content_hash=content_hash(candles),
        revised=(former.revised if former else 0) + len(replaced),
        fetched_at=fetched.as_of,
        verdict=fetched.verdict,
        cross_check=fetched.cross_check,
    )
    proof = with_standing_verdict(proof, former, is_older=is_older)
    if former is not None and (is_older or proof == replace(former, fetched_at=proof.fetched_at)):
        # Nothing new was said, so the proof is the one that stands.
        newer = replace(proof, fetched_at=former.fetched_at)
        proof = former if newer == former else newer
    arrived = without(candles.opened_at, held.opened_at)
    return ProvedDay(proof, candles, missing, arrived, replaced, fetched.as_of)


def _changed(held: Candles, candles: Candles) -> Candles:
    """The held candles about which these say something else."""
    ours, theirs = in_common(held, candles)
    return ours[(ours.values != theirs.values).any(axis=1)]


def content_hash(candles: Candles) -> str:
    """A hash of every value of a day's candles, in the order of time: 128 bits of BLAKE2b.

    Over the opening times as little-endian 64-bit milliseconds, then the six values of each
    candle as little-endian doubles. Any change of any bit changes it.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(np.ascontiguousarray(candles.opened_at.astype("<M8[ms]").view("<i8")).data)
    digest.update(np.ascontiguousarray(candles.values, dtype="<f8").data)
    return digest.hexdigest()


def contradictions(proof: DayProof, candles: Candles, named_gaps: int) -> list[str]:
    """What a day's stored rows, in the order of time, say that its proof does not.

    Empty where the proof holds: the same candles to the last bit, each on the day and the grid,
    each once, and as many gaps named as are counted.
    """
    found = []
    recomputed = {
        "received": len(candles),
        "without_trades": candles.without_trades,
        "content_hash": content_hash(candles),
        "missing": named_gaps,
    }
    for name, value in recomputed.items():
        if value != getattr(proof, name):
            found.append(f"{name} is {value}, the proof says {getattr(proof, name)}")
    unclosed = proof.expected - len(candles) - named_gaps
    if unclosed < 0 or proof.state != _state(proof.expected, named_gaps, unclosed):
        found.append(f"{proof.expected} expected do not make it {proof.state}")
    if np.any(candles.opened_at.astype("datetime64[D]") != np.datetime64(proof.day, "D")):
        found.append("candles open on another day")
    if np.any(np.diff(candles.opened_at) <= np.timedelta64(0)):
        found.append("candles are repeated")
    grid = grid_of(proof.resolution, candles.opened_at)
    if grid is not None and not grid.has(candles.opened_at):
        found.append("candles are off the grid")
    if proof.expected > proof.resolution.candles_per_day:
        found.append(f"{proof.expected} candles cannot open on one day")
    return found


def _state(expected: int, missing: int, unclosed: int) -> DayState:
    if not expected:
        return DayState.NOT_LISTED
    if unclosed:
        return DayState.OPEN
    return DayState.GAPPED if missing else DayState.COMPLETE
