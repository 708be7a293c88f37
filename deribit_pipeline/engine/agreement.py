"""Which responses can be trusted: those that other responses agree with.

A response does not state which series it belongs to. But each request starts one row earlier than
needed, so that neighbouring responses share the row between them, and any window can be requested
again. Candles and all other rows on a sampling grid are cross-checked by this rule.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Generic, Protocol, Self, TypeVar

from deribit_pipeline.domain.windows import Moments, TimeWindow, without

# By how many more responses a window must be confirmed than contradicted, without neighbours.
_LEAD = 2

# The maximum weight of a window: repeated responses must not outvote everything else.
_MOST_WEIGHT = 3


class Page(Protocol):
    """One response's rows in `window`."""

    @property
    def window(self) -> TimeWindow: ...

    @property
    def moments(self) -> Moments:
        """The timestamps of the rows that were returned."""

    @property
    def unclosed(self) -> Moments:
        """The timestamps of rows that are expected but not closed yet."""

    def is_contradicted_by(self, other: Self) -> bool:
        """Whether another response is missing rows that this one has, or has other values."""

    def agrees_with_next(self, later: Self) -> bool | None:
        """Whether the page that begins where this one ends agrees on the rows that both contain;
        None if they share none."""


PageT = TypeVar("PageT", bound=Page)
Witness = Callable[[PageT], bool | None]
"""Whether independent data agrees with a page; None if there is none to compare."""


class Claim(Generic[PageT]):
    """The responses for one window: `page` is the one that most of them agree on.

    `answers` is how many agree on it; the `witness` counts as one more vote, and is evaluated for
    every page.
    """

    def __init__(
        self, page: PageT, answers: int = 1, witness: Witness[PageT] = lambda page: None
    ) -> None:
        self._responses = [(page, answers)]
        self._witness = witness

    @property
    def page(self) -> PageT:
        return self._responses[-1][0]

    @property
    def answers(self) -> int:
        return self._responses[-1][1]

    @property
    def weight(self) -> int:
        """Its weight against its neighbours."""
        return min(self.answers + (self._witness(self.page) is True), _MOST_WEIGHT)

    @property
    def is_settled(self) -> bool:
        """Whether confirmations outnumber contradictions by the required margin. An empty window
        counts as confirmed: it has no rows to contradict."""
        denied = sum(answers for _, answers in self._responses[:-1])
        witness = self._witness(self.page)
        lead = self.answers - denied + (0 if witness is None else 1 if witness else -1)
        return not len(self.page.moments) or lead >= _LEAD

    def add_response(self, page: PageT) -> None:
        """Add another response; of pages with equally many votes, the newest takes precedence."""
        for number, (former, answers) in enumerate(self._responses):
            if _is_alike(former, page):
                self._responses[number] = (page, answers + 1)
                break
        else:
            self._responses.append((page, 1))
        self._responses.sort(key=lambda said: (said[1], said[0] is page))


Chain = list[Claim[PageT]]


def unconfirmed_claims(claims: Sequence[Claim[PageT]], enough: int) -> list[Claim[PageT]]:
    """The windows that are not confirmed yet: contradicted by neighbours of at least equal weight,
    or with too little support.

    Among neighbouring runs that contradict each other, the one that outweighs all others is trusted
    if it has at least `enough` windows that support each other; each window weighs as much as it
    has agreeing responses. In a run that outweighs only its direct neighbours, or is shorter, each
    window must be confirmed on its own.
    """
    found: list[Claim[PageT]] = []
    for chain in _chains(claims):
        runs = list(_runs(chain))
        weights = [0, *(sum(claim.weight for claim in run) for run in runs), 0]
        heaviest = max(weights)
        for number, run in enumerate(runs):
            left, own, right = weights[number : number + 3]
            is_trusted = own == heaviest and weights.count(own) == 1 and len(run) >= enough
            if own <= left + right:
                found += run
            elif not is_trusted:
                found += [claim for claim in run if not claim.is_settled]
    return found


def denied_by(
    claims: Sequence[Claim[PageT]], unconfirmed: Sequence[Claim[PageT]]
) -> list[Claim[PageT]]:
    """Confirmed windows that contradict an unconfirmed neighbour: the shared row may be wrong in
    either, and an error in only the first row of a window has no other sign."""
    found: list[Claim[PageT]] = []
    for chain in _chains(claims):
        for former, claim in pairwise(chain):
            if not _seam(former.page, claim.page):
                found += [
                    one for one in (former, claim) if one not in unconfirmed and one not in found
                ]
    return found


def is_contradictory(pages: Sequence[PageT]) -> bool:
    """Whether consecutive pages, sorted by time, contradict each other at a common boundary."""
    return any(_seam(former, later) is False for former, later in pairwise(pages))


def _chains(claims: Sequence[Claim[PageT]]) -> Iterator[Chain[PageT]]:
    """The claims sorted by time, in runs whose neighbours share a row."""
    chain: Chain[PageT] = []
    for claim in sorted(claims, key=lambda claim: claim.page.window):
        if chain and _seam(chain[-1].page, claim.page) is None:
            yield chain
            chain = []
        chain.append(claim)
    if chain:
        yield chain


def _runs(chain: Chain[PageT]) -> Iterator[Chain[PageT]]:
    """A chain, split into runs whose neighbours agree."""
    run = chain[:1]
    for former, claim in pairwise(chain):
        if not _seam(former.page, claim.page):
            yield run
            run = []
        run.append(claim)
    yield run


def _seam(former: PageT, later: PageT) -> bool | None:
    """Whether neighbours agree on the row between them; None if they share none."""
    if former.window.end != later.window.start:
        return None
    return former.agrees_with_next(later)


def _is_alike(former: PageT, page: PageT) -> bool:
    """Whether a later page has the same rows; it may add rows that were not closed before."""
    new = without(page.moments, former.moments)
    return not former.is_contradicted_by(page) and not len(without(new, former.unclosed))
