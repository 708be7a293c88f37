"""The same rows in several responses: two equal ones confirm a row."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from deribit_pipeline.domain.rows import Columns, differences, joined_rows, some_of
from deribit_pipeline.domain.windows import Moments
from deribit_pipeline.engine.grid_windows import Page

ENOUGH = 2
"""How many responses must agree on a row to confirm it."""

MOST = 3
"""How many responses are compared before a row that no two of them agree on is given up."""


class Votes:
    """The rows of one grid, sorted, and their values in responses for different windows.

    `rows` are the rows of the pages, replaced where two further responses agree on another value;
    `is_changed` is set if any was replaced.
    """

    def __init__(self, at: str, pages: Sequence[Page], nothing: Columns) -> None:
        rows = joined_rows([nothing, *(page.rows for page in pages), *(p.before for p in pages)])
        _, firsts = np.unique(rows[at], return_index=True)
        self.rows = some_of(rows, firsts)
        self.is_changed = False
        self._at = at
        self._confirmed = [page.moments for page in pages if page.is_confirmed]
        self._seen: dict[int, list[bytes]] = {}
        self._wrong = {ms: what for page in pages for ms, what in page.malformed.items()}

    @property
    def malformed(self) -> Moments:
        """The timestamps of malformed rows."""
        values = np.stack([self.rows[name] for name in _names(self.rows)])
        malformed: Moments = self.rows[self._at][np.isnan(values).any(axis=0)]
        return malformed

    def wrong(self, moment: np.datetime64) -> str:
        """What is wrong with a malformed row."""
        return self._wrong.get(_ms(moment), "it could not be read")

    def undecided(self, moments: Moments) -> Moments:
        """Those timestamps whose row is neither confirmed nor given up, sorted."""
        return np.array(
            [moment for moment in np.unique(moments) if not self._is_decided(moment)],
            "datetime64[ms]",
        )

    @property
    def unshared(self) -> Moments:
        """The timestamps of rows that were requested again and that no two responses agree on,
        sorted."""
        unshared = [ms for ms, seen in self._seen.items() if not _is_shared(seen)]
        return np.array(sorted(unshared), np.int64).astype("datetime64[ms]")

    def compare(self, page: Page, moments: Moments) -> None:
        """Compare the rows at these timestamps with a response for another window: equal rows are
        confirmed, the others are marked unconfirmed."""
        ours = some_of(self.rows, np.isin(self.rows[self._at], moments))
        at, theirs = ours[self._at], page.rows[self._at]
        _, one, other = np.intersect1d(at, theirs, assume_unique=True, return_indices=True)
        is_unlike = differences(some_of(ours, one), some_of(page.rows, other))
        unlike = np.setdiff1d(at, at[one][~is_unlike], assume_unique=True)
        self.doubt(unlike)
        self.add(page, unlike)
        self._confirmed.append(np.setdiff1d(at, unlike, assume_unique=True))

    def doubt(self, moments: Moments) -> None:
        """Mark the rows at these timestamps as unconfirmed until two responses agree on them."""
        for moment in moments:
            self._of(moment)

    def add(self, page: Page, moments: Moments) -> None:
        """Add the rows at these timestamps from a response for another window."""
        rows = page.rows
        for moment in np.intersect1d(moments, rows[self._at]):
            seen, key = self._of(moment), _ms(moment)
            seen.append(_values(rows, np.searchsorted(rows[self._at], moment)))
            if key in page.malformed:
                self._wrong[key] = page.malformed[key]
            [(value, count)] = Counter(seen).most_common(1)
            if count >= ENOUGH and value != seen[0]:
                self._set(moment, value)

    def _set(self, moment: np.datetime64, value: bytes) -> None:
        place, self.is_changed = np.searchsorted(self.rows[self._at], moment), True
        for name, number in zip(_names(self.rows), np.frombuffer(value, "<f8"), strict=True):
            self.rows[name][place] = number

    def _of(self, moment: np.datetime64) -> list[bytes]:
        if _ms(moment) not in self._seen:
            value = _values(self.rows, np.searchsorted(self.rows[self._at], moment))
            is_twice = any(moment in moments for moments in self._confirmed)
            self._seen[_ms(moment)] = [value] * (ENOUGH if is_twice else 1)
        return self._seen[_ms(moment)]

    def _is_decided(self, moment: np.datetime64) -> bool:
        seen = self._of(moment)
        return _is_shared(seen) or len(seen) >= MOST


def _is_shared(seen: Sequence[bytes]) -> bool:
    return max(Counter(seen).values()) >= ENOUGH


def _names(rows: Columns) -> list[str]:
    """The measured columns; the others identify the row."""
    return [name for name, values in rows.items() if values.dtype.kind == "f"]


def _values(rows: Columns, place: np.intp) -> bytes:
    return np.array([rows[name][place] for name in _names(rows)], "<f8").tobytes()


def _ms(moment: np.datetime64) -> int:
    return int(moment.astype(np.int64))
