"""A dataset: many series (an instrument, a currency, an index), each of UTC days.

The day of a series is fetched, proved, stored and recorded as one. What a dataset says of itself
is data: tables, checks, schedules, documents and the command line follow from it.
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from deribit_pipeline.domain.bounds import Bounds
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.proof_rules import ProofRules
from deribit_pipeline.domain.proof_tables import OF_ROWS, ProofTables
from deribit_pipeline.domain.rule import Rule
from deribit_pipeline.domain.schedule import Schedule
from deribit_pipeline.domain.tables import Table, View
from deribit_pipeline.domain.windows import ONE_DAY

LeastRows = Callable[[Instrument, date], int]
"""How many rows a day of an instrument must have, by its listing."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """What is kept of many series, day by day. Two of one name are the same.

    `name` is the asset's, and the table's but for candles, whose one table holds all resolutions.
    `rows` is what its rows are called, in the plural. `at` is the column that says on which day
    a row is: a timestamptz or a date. `key` names a row within a series.

    `table` holds its rows; the table's first key column is the series. `more_tables` are what else
    is kept of it; `views` rest on these tables; `rules` are what must hold of its rows beside what
    must hold of every dataset, and `bounds` are those of its columns' values. `source` is where its
    `Source` stands, as `module:name`: it is imported when something is fetched, so that readers
    need not wait for it. `proves` says in the README what a complete day has.

    Days of an instrument may rest on its listing: `least_rows` says how many rows a day must have
    by one, `rows_per_day` how many a whole day has; None where only a day without a listing tells.

    `schedules` request its days by themselves; with `is_scheduled_by_hand` they stay off until
    they are switched on in Dagster's UI. `made_of` names the dataset that its rows are made of,
    where they do not come from the exchange. With `has_verdicts` each of its days has a verdict,
    which says how it compares, and warns of the day only where the comparison disagrees.

    Its proofs are in the tables `proved_in`, and `proof_rules` say what is special about them.
    `constants` are columns that have one value in all of its rows and proofs, where others share
    its tables. Its last row of a day is over `overhang` after midnight, and a day should be settled
    `settled_after`.

    `is_rolling` tells that the exchange keeps only the newest rows: a day that was not fetched in
    time is lost. `is_bulky` tells that a day may have a million rows. Of instruments it may have
    perpetuals alone; `currencies` are those that it has.
    """

    name: str
    label: str
    rows: str
    series: SeriesKind
    at: str
    key: tuple[str, ...]
    table: Table
    source: str
    proves: str
    group: Group = Group.MARKET
    more_tables: tuple[Table, ...] = ()
    views: tuple[View, ...] = ()
    rules: tuple[Rule, ...] = ()
    rows_per_day: int | None = None
    least_rows: LeastRows | None = None
    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    schedules: tuple[Schedule, ...] = ()
    is_scheduled_by_hand: bool = False
    made_of: str = ""
    has_verdicts: bool = False
    is_rolling: bool = False
    is_bulky: bool = False
    is_of_perpetuals: bool = False
    currencies: tuple[str, ...] = ()
    resolution: Resolution | None = None
    proved_in: ProofTables = OF_ROWS
    proof_rules: ProofRules = field(default_factory=ProofRules)
    constants: tuple[tuple[str, str], ...] = ()
    overhang: timedelta = timedelta(0)
    settled_after: timedelta = ONE_DAY

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dataset) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def short_label(self) -> str:
        """The label beside a series' name, which says by itself what candles are of."""
        return self.resolution.label if self.resolution else self.label

    @property
    def proved_as(self) -> str:
        """What the tables of proofs call it."""
        return dict(self.constants).get(self.proved_in.group, self.name)

    @property
    def tables(self) -> tuple[Table, ...]:
        """All of its tables, that of its rows first."""
        return (self.table, *self.more_tables)

    def schedule_name(self, schedule: Schedule) -> str:
        """The name of one of its schedules."""
        return f"{self.table.name}_{schedule.every}"

    def rule_values(self, series: Sequence[str], today: date) -> dict[str, object]:
        """What the queries of its rules may name, besides what its rules give; `series` are those
        that are kept up to date, `$name` what the tables of proofs call it."""
        return {
            "dataset": self.name,
            "name": self.proved_as,
            "series": list(series),
            "today": today,
        }
