"""Which answers can be believed: those that others agree with.

Nothing in an answer says of which instrument it is. But a request asks from one candle earlier
than it wants, so that neighbouring answers both tell the candle between them, and an answer that
has no neighbour can be asked for once more.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from deribit_pipeline.domain import Candles, without
from deribit_pipeline.planning.pages import Page, agree, contradict
from deribit_pipeline.planning.requests import ChartRequest

Chain = list["Claim"]


@dataclass(slots=True, eq=False)
class Claim:
    """What answers say of one window: `page` is what most of them say.

    `held` are candles of this time, or of that just before, that are proved already.
    """

    request: ChartRequest
    page: Page
    held: Candles = field(default_factory=Candles.none)
    _answers: int = field(init=False)
    _others: list[tuple[Page, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._answers = 2 if self.page.is_supported else 1

    @property
    def said(self) -> int:
        """How many answers say so, what is held counted as one."""
        return self._answers + agree(self.page.told, self.held)

    @property
    def is_settled(self) -> bool:
        """Whether two more say so than say something else. Where no candle came at all, there is
        nothing to disagree about."""
        denied = sum(answers for _, answers in self._others)
        denied += contradict(self.page.told, self.held)
        return not len(self.page.candles) or self.said - denied >= 2

    def hear(self, page: Page) -> None:
        """Take another answer in; of what was said equally often, the newest stands."""
        heard = [*self._others, (self.page, self._answers)]
        for number, (former, answers) in enumerate(heard):
            if _is_alike(former, page):
                heard[number] = (page, answers + 1)
                break
        else:
            heard.append((page, 1))
        heard.sort(key=lambda entry: (entry[1], entry[0] is page))
        self.page, self._answers = heard.pop()
        self._others = heard


def _is_alike(former: Page, page: Page) -> bool:
    """Whether a later answer says the same; it may have candles that were open before."""
    new = without(page.candles.opened_at, former.candles.opened_at)
    return not former.is_contradicted_by(page) and not len(without(new, former.unclosed))


def doubtful(claims: Sequence[Claim]) -> list[Claim]:
    """Those that cannot be believed yet: contradicted by what weighs no less, or alone.

    Of neighbours that contradict each other, the longest stretch that agrees has the word, each
    window in it counted as often as it was answered alike.
    """
    found: list[Claim] = []
    for chain in _chains(claims):
        runs = list(_runs(chain))
        if len(runs) == 1:
            # Where no candle came at all, there is nothing to disagree about.
            found += chain if len(chain) == 1 and not chain[0].is_settled else []
            continue
        weights = [sum(claim.said for claim in run) for run in runs]
        heaviest = max(weights)
        has_the_word = heaviest if weights.count(heaviest) == 1 else None
        for run, weight in zip(runs, weights, strict=True):
            found += run if weight != has_the_word else []
    return found


def _chains(claims: Sequence[Claim]) -> Iterator[Chain]:
    """The claims in the order of time, in stretches whose neighbours have a candle in common."""
    chain: Chain = []
    for claim in sorted(claims, key=lambda claim: claim.page.window):
        if chain and _seam(chain[-1], claim) is None:
            yield chain
            chain = []
        chain.append(claim)
    if chain:
        yield chain


def _runs(chain: Chain) -> Iterator[Chain]:
    """A chain in stretches whose neighbours agree."""
    run = chain[:1]
    for former, claim in pairwise(chain):
        if not _seam(former, claim):
            yield run
            run = []
        run.append(claim)
    yield run


def _seam(former: Claim, later: Claim) -> bool | None:
    """Whether two neighbours agree about the candle between them; None where they share none."""
    ours, theirs = former.page.candles, later.page.before
    if former.page.window.end != later.page.window.start:
        return None
    return agree(ours, theirs) or (False if contradict(ours, theirs) else None)
