"""Queries on a warehouse with a long history, each in a process of its own.

Prints, as JSON, the seconds of the first execution, which opens the warehouse, and of the second.
Arguments: the query's title, and the history's number of instruments and days.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial

from made_up import FETCHED_AT, FIRST
from scale_history import name_of

from deribit_pipeline import read
from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.registry import Selection
from deribit_pipeline.datasets.rules import rules_of
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.rule import Rule
from deribit_pipeline.engine.breaches import breaches
from deribit_pipeline.engine.incomplete import incomplete_days
from deribit_pipeline.engine.proof_reads import proofs
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse

MINUTES = CANDLES[Resolution.MINUTE_1]

_NAME = name_of(1)
_YEAR = 365


@dataclass(frozen=True)
class Held:
    """A warehouse that holds this many days from FIRST on, for each of this many instruments."""

    warehouse: Warehouse
    instruments: int
    days: int

    @property
    def last(self) -> date:
        return FIRST + timedelta(days=self.days - 1)

    @property
    def a_year_before(self) -> date:
        """The first day of the year that ends with the last."""
        return self.last - timedelta(days=_YEAR - 1)


def _proofs(held: Held) -> None:
    with held.warehouse.reading() as connection:
        found = proofs(connection, Selection())
    assert [(dataset, len(some)) for dataset, some in found.items()] == [
        (MINUTES, held.instruments * held.days)
    ]


def _incomplete(held: Held) -> None:
    assert not incomplete_days(held.warehouse, FETCHED_AT, Selection()).days


def _read(resolution: str, rows: int, held: Held) -> None:
    assert len(read.candles(_NAME, held.a_year_before, held.last, resolution)) == rows


def _as_of(held: Held) -> None:
    with held.warehouse.reading() as connection:
        found = connection.execute(
            "from candles_as_of($moment) where instrument_name = $name and resolution = '1' "
            "and opened_at >= cast($first as timestamptz) "
            "and opened_at < cast($last as timestamptz) + interval 1 day",
            {
                "moment": datetime.now(UTC),
                "name": _NAME,
                "first": held.a_year_before,
                "last": held.last,
            },
        ).fetchnumpy()
    assert len(found["opened_at"]) == _YEAR * 1_440


def _verify(held: Held) -> None:
    year = Selection((MINUTES,), (_NAME,), held.a_year_before, held.last)
    found = verify(held.warehouse, year)
    assert (found.days, found.findings) == (_YEAR, [])


def _check(rule: Rule, held: Held) -> None:
    with held.warehouse.reading() as connection:
        assert not breaches(connection, rule, rule.parameters(MINUTES, (_NAME,), held.last)).count


QUESTIONS: Mapping[str, Callable[[Held], None]] = {
    "the proofs of all days": _proofs,
    "what is incomplete, as `repair` asks": _incomplete,
    "`read.candles` of a year of minutes": partial(_read, "1", _YEAR * 1_440),
    "the same, rolled up to hours": partial(_read, "60", _YEAR * 24),
    "`candles_as_of`, a year of minutes": _as_of,
    "`verify` of a year of minutes": _verify,
    **{f"the check `{rule.name}`": partial(_check, rule) for rule in rules_of(MINUTES)},
}
"""By title; each fails if the result does not match the history."""


def main(title: str, instruments: str, days: str) -> None:
    """Execute one query twice."""
    settings, seconds = Settings.load(), []
    warehouse = warehouse_at(settings.warehouse, settings.environment)
    held = Held(warehouse, int(instruments), int(days))
    for _ in range(2):
        began = time.perf_counter()
        QUESTIONS[title](held)
        seconds.append(time.perf_counter() - began)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
