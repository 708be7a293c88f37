"""A dataset: many series (an instrument, a currency, an index), each of UTC days.

A day of a series is fetched, proved, stored and recorded as a unit. A dataset is defined as data:
tables, checks, schedules, documents and the command line follow from it.
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
"""How many rows a day of an instrument must have, according to its listing."""


class SeriesKind(enum.StrEnum):
    """The kind of a series; the value is the first dimension of its partitions."""

    INSTRUMENT = "instrument"
    CURRENCY = "currency"
    INDEX = "index_name"

    @property
    def label(self) -> str:
        """The kind in a sentence."""
        return "index" if self is SeriesKind.INDEX else self.value


class Group(enum.StrEnum):
    """The asset group of a dataset."""

    CANDLES = "candles"
    MARKET = "market"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """The definition of the data stored for many series, by day. Two with the same name are equal.

    `name` is the name of the asset, and of the table, except for candles, whose one table holds all
    resolutions. `rows` is the plural noun for what its proofs count. `at` is the column with the
    instant or day of a row: a timestamptz or a date. `key` identifies a row within a series.

    `table` holds its rows; the table's first key column is the series. `more_tables` are its other
    tables; `views` are defined on these tables; `rules` are the rules for its rows in addition to
    those for every dataset, and `bounds` those for its columns' values. `source` is the location of
    its `Source`, as `module:name`: it is imported when something is fetched, so that readers need
    not wait for it. `recorder` is likewise the location of what records it as it happens, in a
    function of the exchange, the settings and the exchange's clock; empty if `record` does not
    record it. `proves` states in the README what a complete day contains.

    Days of an instrument may rest on its listing: `least_rows` returns how many rows a day must
    have according to one, `rows_per_day` is how many a whole day has; None if only `not_listed`
    days rest on the listing.

    `schedules` request its days automatically; with `is_scheduled_by_hand` they stay off until they
    are switched on in Dagster's UI. `made_of` names the dataset from which its rows are computed,
    if they do not come from the exchange. With `has_verdicts` each of its days has a verdict, which
    describes the comparison, and warns of the day only if the comparison disagrees.

    Its proofs are in the tables `proved_in`, and `proof_rules` define what is special about them.
    `constants` are columns with one value in all of its rows and proofs, for datasets that share
    tables. Its last row of a day is closed `overhang` after midnight, and a day should be settled
    `settled_after`.

    The counts of its proofs are of the distinct values of the columns `counted`, such as snapshots
    of many rows each; of rows if there are none. With `is_recorded`, its rows come from the spool:
    what was not recorded is a gap that can never be filled, and its day is settled all the same.
    `recorded_as` names the part of the spool's streams that has a series, if it is another.

    `kept` is how long the exchange keeps rows, if it keeps the newest only: a day that was not
    fetched in time is lost. `is_bulky` is true if a day may have a million rows. A dataset of
    instruments may be available for perpetuals only; `currencies` are those for which it is
    available.
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
    recorder: str = ""
    is_recorded: bool = False
    recorded_as: Callable[[str], str] = str
    counted: tuple[str, ...] = ()
    kept: timedelta | None = None
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
    def is_rolling(self) -> bool:
        """Whether the exchange keeps the newest rows only."""
        return self.kept is not None

    def is_kept_whole(self, day: date, today: date) -> bool:
        """Whether the exchange still has all rows of a day."""
        return self.kept is None or day > today - self.kept

    @property
    def short_label(self) -> str:
        """The label beside a series' name, for candles too."""
        return self.resolution.label if self.resolution else self.label

    @property
    def proved_as(self) -> str:
        """The dataset's name in the tables of proofs."""
        return dict(self.constants).get(self.proved_in.group, self.name)

    @property
    def tables(self) -> tuple[Table, ...]:
        """All of its tables, that of its rows first."""
        return (self.table, *self.more_tables)

    def schedule_name(self, schedule: Schedule) -> str:
        """The name of one of its schedules."""
        return f"{self.table.name}_{schedule.every}"

    def rule_values(self, series: Sequence[str], today: date) -> dict[str, object]:
        """The parameters available to the queries of its rules, besides those that its rules
        define; `series` are those that are kept up to date, `$name` is the dataset's name in the
        tables of proofs."""
        return {
            "dataset": self.name,
            "name": self.proved_as,
            "series": list(series),
            "today": today,
        }
