"""The result of comparing rows with independent data, by day."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from deribit_pipeline.domain.proofs import CrossCheck
from deribit_pipeline.domain.windows import Moments, day_window, moment64, without
from deribit_pipeline.engine.grid_windows import Page
from deribit_pipeline.engine.sampling_grid import SamplingGrid
from deribit_pipeline.engine.votes import Votes
from deribit_pipeline.engine.witness import Disagreement, Witness


@dataclass(frozen=True, slots=True, eq=False)
class CheckedRows:
    """The rows of one grid after all requests, by timestamp: `moments` are all rows. Of these,
    `unshared` were requested again and no two responses agree on them, `malformed` cannot be
    parsed, `impossible` violate a rule, each listed under the first one, and `uncompared` have
    nothing to be compared with. All are sorted."""

    sampling_grid: SamplingGrid
    votes: Votes
    moments: Moments
    unshared: Moments
    malformed: Moments
    impossible: Mapping[str, Moments]
    uncompared: Moments

    def corrected(self, page: Page) -> Page:
        """The page with corrected rows, on which two further responses agree."""
        return page.with_rows(self.votes.rows) if self.votes.is_changed else page


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """The rows of some days, by grid, and what contradicts them: `found` are the disagreements by
    comparison and UTC day, `given_up` names comparisons that most rows fail."""

    rows: Sequence[CheckedRows]
    found: Mapping[tuple[str, date], Sequence[Disagreement]]
    comparisons: Sequence[str]
    given_up: frozenset[str]

    def unproved(self, day: date) -> str:
        """Why the day cannot be proved; empty if it can."""
        for rows in self.rows:
            unshared = _within(rows.unshared, day)
            if len(unshared):
                name = self._name(rows, unshared, _instant)
                return f"no two responses agree on the row of {name}"
            malformed = _within(rows.malformed, day)
            if len(malformed):
                name = self._name(rows, malformed, _instant)
                return f"the row of {name} is malformed: {rows.votes.wrong(malformed[0])}"
        return ""

    def cross_check(self, day: date) -> CrossCheck:
        """The comparison of the day's rows with independent data: AGREES if each row could be
        compared, DISAGREES if one differs."""
        if any((what, day) in self.found for what in self.comparisons):
            return CrossCheck.DISAGREES
        has_rows = any(len(_within(rows.moments, day)) for rows in self.rows)
        is_whole = not any(len(_within(rows.uncompared, day)) for rows in self.rows)
        return CrossCheck.AGREES if has_rows and is_whole else CrossCheck.NONE

    def verdict(self, day: date) -> str:
        """The findings about the day's rows as a sentence; empty if there are none."""
        return "; ".join([*self._impossible(day), *self._disagreeing(day)])

    def _impossible(self, day: date) -> Iterator[str]:
        for rows in self.rows:
            for what, moments in rows.impossible.items():
                broken = _within(moments, day)
                if len(broken):
                    name = self._name(rows, broken, _clock)
                    yield f"impossible values, returned twice: {what} at {name}"

    def _disagreeing(self, day: date) -> Iterator[str]:
        for what in self.comparisons:
            found = self.found.get((what, day))
            if found:
                how = "returned twice"
                if what in self.given_up:
                    how = "not requested again as most do"
                more = f", and {len(found) - 1} more" if len(found) > 1 else ""
                yield f"{what} disagree, {how}: at {_clock(found[0].moment)} {found[0].what}{more}"

    def _name(
        self, rows: CheckedRows, moments: Moments, text: Callable[[np.datetime64], str]
    ) -> str:
        """The first of these timestamps as text, and how many more there are."""
        labels = rows.sampling_grid.labels if len(self.rows) > 1 else {}
        label = "".join(f" ({name} {value})" for name, value in labels.items())
        more = f" and {len(moments) - 1} more" if len(moments) > 1 else ""
        return f"{text(moments[0])}{label}{more}"


def checked(
    sampling_grids: Sequence[SamplingGrid],
    votes: Sequence[Votes],
    witness: Witness,
    given_up: frozenset[str],
) -> Checked:
    """Check the rows of each grid, as corrected by votes, against the rules and each other."""
    compared = witness.compared([some.rows for some in votes])
    comparisons = [comparison for comparison in compared if not comparison.is_hint]
    found: dict[tuple[str, date], list[Disagreement]] = {}
    for comparison in comparisons:
        for disagreement in comparison.disagreements:
            day = disagreement.moment.astype("M8[D]").item()
            found.setdefault((comparison.what, day), []).append(disagreement)
    rows = [
        _checked_rows(sampling_grid, some, witness, [one.compared[number] for one in comparisons])
        for number, (sampling_grid, some) in enumerate(zip(sampling_grids, votes, strict=True))
    ]
    return Checked(rows, found, [comparison.what for comparison in comparisons], given_up)


def _checked_rows(
    sampling_grid: SamplingGrid, votes: Votes, witness: Witness, compared: Sequence[Moments]
) -> CheckedRows:
    moments = votes.rows[sampling_grid.at]
    left, impossible = np.ones(len(moments), bool), {}
    for what, flags in witness.impossible(votes.rows).items():
        impossible[what] = moments[flags & left]
        left &= ~flags
    uncompared = [without(moments, some) for some in compared]
    return CheckedRows(
        sampling_grid,
        votes,
        moments,
        votes.unshared,
        votes.malformed,
        impossible,
        np.unique(np.concatenate([moments[:0], *uncompared])),
    )


def _within(moments: Moments, day: date) -> Moments:
    window = day_window(day)
    return moments[slice(*np.searchsorted(moments, [moment64(window.start), moment64(window.end)]))]


def _clock(moment: np.datetime64) -> str:
    return _instant(moment)[11:16]


def _instant(moment: np.datetime64) -> str:
    return f"{np.datetime_as_string(moment, unit='m')}Z"
