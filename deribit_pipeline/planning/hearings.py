"""Which pages of rows can be believed: those that other answers agree with.

Nothing in an answer says of which series it is. But a window asks from one row earlier on, so that
neighbouring answers both tell the row between them, and any answer can be asked for once more.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from deribit_pipeline.planning.windows import Page, agree, contradict

# So many neighbours that agree support each other; fewer could all be mistaken in the same way.
_SUPPORT_EACH_OTHER = 3

# By how many more answers a page must be said than denied, where it rests on itself.
_LEAD = 2

_MOST_WEIGHT = 3

Run = list["Hearing"]


class Hearing:
    """What answers say of one window; `page` is what most of them say."""

    def __init__(self, page: Page) -> None:
        self._said = [(page, 1)]

    @property
    def page(self) -> Page:
        return self._said[-1][0]

    @property
    def answers(self) -> int:
        """How many answers say so."""
        return self._said[-1][1]

    @property
    def weight(self) -> int:
        """What it weighs against others: to say the same again and again outvotes nobody."""
        return min(self.answers, _MOST_WEIGHT)

    @property
    def is_settled(self) -> bool:
        """Whether two more say so than say something else."""
        return self.answers - sum(answers for _, answers in self._said[:-1]) >= _LEAD

    def hear(self, page: Page) -> None:
        """Take in another answer; of two that are said as often, the newer one counts."""
        for number, (former, answers) in enumerate(self._said):
            if _is_alike(former, page):
                self._said[number] = (page, answers + 1)
                break
        else:
            self._said.append((page, 1))
        self._said.sort(key=lambda said: (said[1], said[0] is page))


def doubtful(hearings: Sequence[Hearing]) -> list[Hearing]:
    """Those that cannot be believed yet: contradicted by what weighs no less, or hardly supported.

    Of neighbouring stretches that contradict each other, one is believed that outweighs those
    beside it, each window in it counted as often as it was answered alike. A window without any
    row has nothing that could be of another series.
    """
    found: list[Hearing] = []
    for chain in _chains(hearings):
        runs = list(_runs(chain))
        weights = [0, *(sum(hearing.weight for hearing in run) for run in runs), 0]
        for number, run in enumerate(runs):
            left, own, right = weights[number : number + 3]
            if own <= left + right:
                found += run
            elif len(run) < _SUPPORT_EACH_OTHER:
                found += [hearing for hearing in run if not hearing.is_settled]
    return found


def _chains(hearings: Sequence[Hearing]) -> Iterator[Run]:
    """Those with rows, in the order of time, in stretches whose neighbours share a row."""
    chain: Run = []
    for hearing in sorted(hearings, key=lambda hearing: hearing.page.window):
        if not len(hearing.page.moments):
            continue
        if chain and _seam(chain[-1].page, hearing.page) is None:
            yield chain
            chain = []
        chain.append(hearing)
    if chain:
        yield chain


def _runs(chain: Run) -> Iterator[Run]:
    """A chain in stretches whose neighbours agree."""
    run = chain[:1]
    for former, hearing in pairwise(chain):
        if not _seam(former.page, hearing.page):
            yield run
            run = []
        run.append(hearing)
    yield run


def _seam(former: Page, later: Page) -> bool | None:
    """Whether neighbours agree about the row between them; None where they share none."""
    if former.window.end != later.window.start:
        return None
    if agree(former.at, former.rows, later.before):
        return True
    return False if contradict(former.at, former.rows, later.before) else None


def _is_alike(former: Page, page: Page) -> bool:
    """Whether a later answer says the same; it may have rows that were not to be had before."""
    new = np.setdiff1d(page.moments, former.moments, assume_unique=True)
    return not former.is_contradicted_by(page) and bool(np.isin(new, former.unclosed).all())
