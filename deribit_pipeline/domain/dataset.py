"""A dataset: many series (an instrument, a currency, an index), each of UTC days.

The day of a series is fetched, proved, stored and recorded as one.
"""

import enum
from dataclasses import dataclass, field
from datetime import timedelta

from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.proof_rules import ProofRules
from deribit_pipeline.domain.proof_tables import OF_ROWS, ProofTables
from deribit_pipeline.domain.windows import ONE_DAY


class SeriesKind(enum.StrEnum):
    """What a series is of; the value is the first dimension of its partitions."""

    INSTRUMENT = "instrument"
    CURRENCY = "currency"
    INDEX = "index_name"

    @property
    def label(self) -> str:
        """The kind in a sentence."""
        return "index" if self is SeriesKind.INDEX else self.value


class Group(enum.StrEnum):
    """The group of assets that a dataset is shown in."""

    CANDLES = "candles"
    MARKET = "market"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Dataset:
    """What is kept of many series, day by day.

    `name` is the asset's, and the table's but for candles, whose one table holds all resolutions.
    `rows` is what its rows are called, in the plural. `at` is the column that says on which day
    a row is: a timestamptz or a date. `key` names a row within a series. `is_rolling` tells that
    the exchange keeps only the newest rows: a day that was not asked for in time is lost.
    `is_bulky` tells that a day may have a million rows. Of instruments it may have perpetuals
    alone; `currencies` are those that it has.

    Its proofs are in the tables `proved_in`; `constants` are columns that have one value in all of
    its rows and proofs, where others share its tables. `proof_rules` say what is special about
    proving its days. Its last row of a day is over `overhang` after midnight, and a day should be
    settled `settled_after`. Its rows are made of those of the dataset `made_of`, if of any. Where
    it `is_always_judged`, every day has a verdict, which says how it compares; it warns of the day
    only where the comparison disagrees.
    """

    name: str
    label: str
    rows: str
    series: SeriesKind
    at: str
    key: tuple[str, ...]
    group: Group = Group.MARKET
    is_rolling: bool = False
    is_bulky: bool = False
    is_of_perpetuals: bool = False
    currencies: tuple[str, ...] = ()
    resolution: Resolution | None = None
    proved_in: ProofTables = field(default=OF_ROWS, compare=False)
    proof_rules: ProofRules = field(default_factory=ProofRules, compare=False)
    constants: tuple[tuple[str, str], ...] = ()
    overhang: timedelta = timedelta(0)
    settled_after: timedelta = ONE_DAY
    is_always_judged: bool = False
    made_of: str = ""

    @property
    def proved_as(self) -> str:
        """What the tables of proofs call it."""
        return dict(self.constants).get(self.proved_in.group, self.name)

    @property
    def short_label(self) -> str:
        """The label beside a series' name, which says by itself what candles are of."""
        return self.resolution.label if self.resolution else self.label
