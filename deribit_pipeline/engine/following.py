"""Pages that follow one another, joined: what two of them tell, they must tell alike."""

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


def with_page(dataset: Dataset, told: Columns, page: Columns, *, is_last: bool) -> Columns:
    """What was told by former pages and what the next one adds, sorted by key. Raises ValueError
    where it says something else of what it repeats, or goes on though it brings nothing new."""
    if not is_last and not count_of(new_rows(dataset, told, page)):
        raise ValueError("a continuation led to nothing new, and goes on")
    return united(dataset, told, page)


def united(dataset: Dataset, one: Columns, other: Columns, *, but: Sequence[str] = ()) -> Columns:
    """The rows of both, sorted by key. Of a row that both tell they must say the same, `but` for
    some columns, in which the first has the word."""
    ours, theirs = keys_of(dataset, one), keys_of(dataset, other)
    _, at_ours, at_theirs = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
    if not are_same(some_of(one, at_ours), some_of(other, at_theirs), but):
        raise ValueError("two answers contradict each other about a row")
    rows = joined_rows([one, new_rows(dataset, one, other)])
    return in_order(dataset, rows)


def new_rows(dataset: Dataset, told: Columns, page: Columns) -> Columns:
    """The rows of a page that were not told before."""
    return some_of(page, ~np.isin(keys_of(dataset, page), keys_of(dataset, told)))


def in_order(dataset: Dataset, rows: Columns) -> Columns:
    """The rows sorted by key."""
    return some_of(rows, np.argsort(keys_of(dataset, rows), kind="stable"))


def are_same(one: Columns, other: Columns, but: Sequence[str] = ()) -> bool:
    """Whether rows, side by side, say the same, `but` for some columns."""
    names = [name for name in one if name not in but]
    return not differences(
        {name: one[name] for name in names}, {name: other[name] for name in names}
    ).any()


class TooManyPages(ValueError):
    """Pages follow one another beyond what their time and their rows can account for."""


@dataclass(slots=True)
class Progress:
    """Bounds how many pages, or windows, may follow one another before an end comes.

    `page` is how many rows one may hold, and `most_a_second` how many rows a series can have on
    average. Beyond the first `free` pages, which a crowd in one millisecond may take, the pages
    together must be a quarter full, and if full must not be denser than that over the time that
    they cover. Neither bound depends on what an endless series of responses claims of itself.
    """

    page: int
    most_a_second: float
    free: int = 40
    _pages: int = 0
    _rows: int = 0

    def take(self, rows: int, covered: np.timedelta64) -> None:
        """Count one page more: `rows` are new in it, and with it the pages cover that much time.
        Raises TooManyPages."""
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
