"""Which answers can be believed: those that others agree with.

Nothing in an answer says of which series it is. But a request asks from one row earlier than it
wants, so that neighbouring answers both tell the row between them, and any answer can be asked for
once more. Candles and all other rows that stand on a grid of time are believed by this one rule.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Generic, Protocol, Self, TypeVar

from deribit_pipeline.domain.windows import Moments, TimeWindow, without

# By how many more answers a window must be told than denied, where it rests on itself.
_LEAD = 2

# What a window weighs at most: to say the same again and again outvotes nobody.
_MOST_WEIGHT = 3


class Page(Protocol):
    """What one answer says of the rows that stand in `window`."""

    @property
    def window(self) -> TimeWindow: ...

    @property
    def moments(self) -> Moments:
        """Where the rows stand that came."""

    @property
    def unclosed(self) -> Moments:
        """Where rows are expected that could not come yet."""

    def is_contradicted_by(self, other: Self) -> bool:
        """Whether another answer lacks rows that this one has, or says something else of one."""

    def agrees_with_next(self, later: Self) -> bool | None:
        """Whether the page that begins where this one ends says the same of what both tell; None
        where both tell nothing."""


Told = TypeVar("Told", bound=Page)
Witness = Callable[[Told], bool | None]
"""Whether what is known otherwise says the same as a page; None where it says nothing."""


class Claim(Generic[Told]):
    """What answers say of one window: `page` is what most of them say.

    `answers` is how many say so; the `witness`, who counts as one more, is asked of every page.
    """

    def __init__(
        self, page: Told, answers: int = 1, witness: Witness[Told] = lambda page: None
    ) -> None:
        self._said = [(page, answers)]
        self._witness = witness

    @property
    def page(self) -> Told:
        return self._said[-1][0]

    @property
    def answers(self) -> int:
        return self._said[-1][1]

    @property
    def weight(self) -> int:
        """What it weighs against its neighbours."""
        return min(self.answers + (self._witness(self.page) is True), _MOST_WEIGHT)

    @property
    def is_settled(self) -> bool:
        """Whether it is told so much more often than denied. Where no row came at all, there is
        nothing to disagree about."""
        denied = sum(answers for _, answers in self._said[:-1])
        witness = self._witness(self.page)
        lead = self.answers - denied + (0 if witness is None else 1 if witness else -1)
        return not len(self.page.moments) or lead >= _LEAD

    def hear(self, page: Told) -> None:
        """Take another answer in; of what was said equally often, the newest stands."""
        for number, (former, answers) in enumerate(self._said):
            if _is_alike(former, page):
                self._said[number] = (page, answers + 1)
                break
        else:
            self._said.append((page, 1))
        self._said.sort(key=lambda said: (said[1], said[0] is page))


Chain = list[Claim[Told]]


def doubtful(claims: Sequence[Claim[Told]], enough: int) -> list[Claim[Told]]:
    """Those that cannot be believed yet: contradicted by what weighs no less, or hardly supported.

    Of neighbouring stretches that contradict each other, the one that outweighs all others has the
    word, where it has `enough` windows to support each other; each window weighs as often as it
    was told alike. A stretch that outweighs those beside it alone may be right as well, and one
    that is shorter: of these, each window must be settled by itself.
    """
    found: list[Claim[Told]] = []
    for chain in _chains(claims):
        runs = list(_runs(chain))
        weights = [0, *(sum(claim.weight for claim in run) for run in runs), 0]
        heaviest = max(weights)
        for number, run in enumerate(runs):
            left, own, right = weights[number : number + 3]
            has_the_word = own == heaviest and weights.count(own) == 1 and len(run) >= enough
            if own <= left + right:
                found += run
            elif not has_the_word:
                found += [claim for claim in run if not claim.is_settled]
    return found


def denied_by(claims: Sequence[Claim[Told]], doubts: Sequence[Claim[Told]]) -> list[Claim[Told]]:
    """Those not in doubt that contradict a neighbour which is: the row between them may be wrong in
    either, and of one that is wrong in its first row alone nothing else tells."""
    found: list[Claim[Told]] = []
    for chain in _chains(claims):
        for former, claim in pairwise(chain):
            if not _seam(former.page, claim.page):
                found += [one for one in (former, claim) if one not in doubts and one not in found]
    return found


def is_torn(pages: Sequence[Told]) -> bool:
    """Whether pages, in the order of time, contradict each other where one follows another."""
    return any(_seam(former, later) is False for former, later in pairwise(pages))


def _chains(claims: Sequence[Claim[Told]]) -> Iterator[Chain[Told]]:
    """The claims in the order of time, in stretches whose neighbours have a row in common."""
    chain: Chain[Told] = []
    for claim in sorted(claims, key=lambda claim: claim.page.window):
        if chain and _seam(chain[-1].page, claim.page) is None:
            yield chain
            chain = []
        chain.append(claim)
    if chain:
        yield chain


def _runs(chain: Chain[Told]) -> Iterator[Chain[Told]]:
    """A chain in stretches whose neighbours agree."""
    run = chain[:1]
    for former, claim in pairwise(chain):
        if not _seam(former.page, claim.page):
            yield run
            run = []
        run.append(claim)
    yield run


def _seam(former: Told, later: Told) -> bool | None:
    """Whether neighbours agree about the row between them; None where they share none."""
    if former.window.end != later.window.start:
        return None
    return former.agrees_with_next(later)


def _is_alike(former: Told, page: Told) -> bool:
    """Whether a later answer says the same; it may have rows that were not over before."""
    new = without(page.moments, former.moments)
    return not former.is_contradicted_by(page) and not len(without(new, former.unclosed))
