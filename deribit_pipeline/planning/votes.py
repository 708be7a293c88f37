"""What several responses say of single rows: two that say the same confirm one."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from deribit_pipeline.domain import Moments
from deribit_pipeline.planning.rows import Columns, joined_rows, some_of
from deribit_pipeline.planning.windows import Page

ENOUGH = 2
"""How many responses must share a row to confirm it."""

MOST = 3
"""How many responses are compared before a row of which no two say the same is given up."""


class Votes:
    """The rows of one cadence, sorted, and what responses to different windows say of them.

    `rows` are those of believed pages until two responses say something else of one; `is_changed`
    tells that they did.
    """

    def __init__(self, at: str, pages: Sequence[Page], nothing: Columns) -> None:
        rows = joined_rows([nothing, *(page.rows for page in pages), *(p.before for p in pages)])
        _, firsts = np.unique(rows[at], return_index=True)
        self.rows = some_of(rows, firsts)
        self.is_changed = False
        self._at = at
        self._twice = [page for page in pages if page.is_confirmed]
        self._said: dict[int, list[bytes]] = {}
        self._wrong = {ms: what for page in pages for ms, what in page.malformed.items()}

    @property
    def malformed(self) -> Moments:
        """The moments of rows that could not be read."""
        values = np.stack([self.rows[name] for name in _names(self.rows)])
        malformed: Moments = self.rows[self._at][np.isnan(values).any(axis=0)]
        return malformed

    def wrong(self, moment: np.datetime64) -> str:
        """What is wrong with a row that could not be read."""
        return self._wrong.get(_ms(moment), "it could not be read")

    def undecided(self, moments: Moments) -> Moments:
        """Those of the moments whose row is neither confirmed nor given up, sorted."""
        return np.array(
            [moment for moment in np.unique(moments) if not self._is_decided(moment)],
            "datetime64[ms]",
        )

    @property
    def unshared(self) -> Moments:
        """The moments of rows that were requested again and of which no two responses say the
        same, sorted."""
        unshared = [ms for ms, said in self._said.items() if not _is_shared(said)]
        return np.array(sorted(unshared), np.int64).astype("datetime64[ms]")

    def hear(self, page: Page, moments: Moments) -> None:
        """Take in what a response to another window says of the rows of these moments."""
        told = page.told
        for moment in np.intersect1d(moments, told[self._at]):
            said, key = self._of(moment), _ms(moment)
            said.append(_values(told, np.searchsorted(told[self._at], moment)))
            if key in page.malformed:
                self._wrong[key] = page.malformed[key]
            [(value, count)] = Counter(said).most_common(1)
            if count >= ENOUGH and value != said[0]:
                self._set(moment, value)

    def _set(self, moment: np.datetime64, value: bytes) -> None:
        place, self.is_changed = np.searchsorted(self.rows[self._at], moment), True
        for name, number in zip(_names(self.rows), np.frombuffer(value, "<f8"), strict=True):
            self.rows[name][place] = number

    def _of(self, moment: np.datetime64) -> list[bytes]:
        if _ms(moment) not in self._said:
            value = _values(self.rows, np.searchsorted(self.rows[self._at], moment))
            is_twice = any(moment in page.moments for page in self._twice)
            self._said[_ms(moment)] = [value] * (ENOUGH if is_twice else 1)
        return self._said[_ms(moment)]

    def _is_decided(self, moment: np.datetime64) -> bool:
        said = self._of(moment)
        return _is_shared(said) or len(said) >= MOST


def _is_shared(said: Sequence[bytes]) -> bool:
    return max(Counter(said).values()) >= ENOUGH


def _names(rows: Columns) -> list[str]:
    """The columns that are measured; the others say which row it is."""
    return [name for name, values in rows.items() if values.dtype.kind == "f"]


def _values(rows: Columns, place: np.intp) -> bytes:
    return np.array([rows[name][place] for name in _names(rows)], "<f8").tobytes()


def _ms(moment: np.datetime64) -> int:
    return int(moment.astype(np.int64))
