"""Which answers can be believed: those that others agree with.

Nothing in an answer says of which instrument it is. But a request asks from one candle earlier
than it wants, so that neighbouring answers both tell the candle between them, and an answer that
has no neighbour can be asked for once more.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from deribit_pipeline.domain import Candles
from deribit_pipeline.planning.pages import Page, agree
from deribit_pipeline.planning.requests import ChartRequest

Chain = list["Claim"]


@dataclass(slots=True, eq=False)
class Claim:
    """What answers say of one window: `page` is what most of them say, `said` how many do."""

    request: ChartRequest
    page: Page
    said: int = field(init=False)
    _dissent: list[tuple[Page, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.said = 2 if self.page.is_supported else 1

    def hear(self, page: Page) -> None:
        """Take another answer in; of what was said equally often, the newest stands."""
        told = [*self._dissent, (self.page, self.said)]
        for number, (former, said) in enumerate(told):
            if not former.is_contradicted_by(page):
                told[number] = (page, said + 1)
                break
        else:
            told.append((page, 1))
        told.sort(key=lambda entry: (entry[1], entry[0] is page))
        self.page, self.said = told.pop()
        self._dissent = told

    def hold_against(self, held: Candles) -> None:
        """Count what is held of this time, or of that just before, as another answer, where it
        agrees."""
        if agree(self.page.before, held) or agree(self.page.candles, held):
            self.said += 1


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
            is_alone = len(chain) == 1 and chain[0].said == 1 and len(chain[0].page.candles) > 0
            found += chain if is_alone else []
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
    if former.page.window.end != later.page.window.start:
        return None
    return agree(former.page.candles, later.page.before)
