"""Join consecutive pages: rows that are on two of them must be equal."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.rows import (
    Columns,
    count_of,
    differences,
    joined_rows,
    keys_of,
    some_of,
)


def with_page(dataset: Dataset, returned: Columns, page: Columns, *, is_last: bool) -> Columns:
    """The rows of earlier pages, `returned`, and what the next page adds, sorted by key. Raises
    ValueError if the page contradicts a row that it repeats, or adds nothing and is not the
    last."""
    rows = united(dataset, returned, page)
    if not is_last and count_of(rows) == count_of(returned):
        raise ValueError("a continuation led to nothing new, and continues")
    return rows


def united(dataset: Dataset, one: Columns, other: Columns, *, but: Sequence[str] = ()) -> Columns:
    """The rows of both, sorted by key. Rows in both must be equal, except in the columns `but`, for
    which the first takes precedence."""
    ours, theirs = keys_of(dataset, one), keys_of(dataset, other)
    _, at_ours, at_theirs = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
    if not are_same(some_of(one, at_ours), some_of(other, at_theirs), but):
        raise ValueError("two responses contradict each other about a row")
    is_new = ~np.isin(theirs, ours)
    rows = joined_rows([one, some_of(other, is_new)])
    # The keys from above are reused: creating them takes most of the time of a log of many pages.
    return some_of(rows, np.argsort(np.concatenate([ours, theirs[is_new]]), kind="stable"))


def new_rows(dataset: Dataset, returned: Columns, page: Columns) -> Columns:
    """The rows of a page that are not among the earlier ones."""
    return some_of(page, ~np.isin(keys_of(dataset, page), keys_of(dataset, returned)))


def in_order(dataset: Dataset, rows: Columns) -> Columns:
    """The rows sorted by key."""
    return some_of(rows, np.argsort(keys_of(dataset, rows), kind="stable"))


def are_same(one: Columns, other: Columns, but: Sequence[str] = ()) -> bool:
    """Whether rows, compared pairwise, are equal except in the columns `but`."""
    names = [name for name in one if name not in but]
    return not differences(
        {name: one[name] for name in names}, {name: other[name] for name in names}
    ).any()


class TooManyPages(ValueError):
    """More pages follow one another than their time span and rows can account for."""


@dataclass(slots=True)
class Progress:
    """Limits the number of pages, or windows, that may follow one another.

    `page` is the maximum number of rows of a page, and `most_a_second` the maximum average row rate
    of a series. After the first `free` pages, which many rows in one millisecond may need, the
    pages together must be at least a quarter full, and their rows must not be denser than that rate
    over the time that they cover. Neither bound depends on data that an endless series of responses
    could forge.
    """

    page: int
    most_a_second: float
    free: int = 40
    _pages: int = 0
    _rows: int = 0

    def add(self, rows: int, covered: np.timedelta64) -> None:
        """Count one more page: `rows` are its new rows, and `covered` is the time that all pages
        cover so far. Raises TooManyPages."""
        self._pages += 1
        self._rows += rows
        seconds = covered / np.timedelta64(1, "s")
        by_time = int(max(0.0, seconds) * self.most_a_second / self.page)
        most = self.free + min(by_time, 4 * self._rows // self.page)
        if self._pages > most:
            raise TooManyPages(
                f"{self._pages} pages of up to {self.page} rows followed one another with "
                f"{self._rows} rows of {seconds:g} s, and at most {most} can: the responses would "
                "never end"
            )
